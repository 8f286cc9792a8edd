"""ETTRL-EAR: advantages by the entropy of responses."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.ettrl_ear import ENTROPY, ettrl_ear
from rlvr_jax.methods.grpo import grpo

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1], [1, 0], [1, 1], [1, 1]])
# Means of 0.2, 0.6, 1.0 and 0.2 nats over the counted tokens.
NATS = np.float32([[0.1, 0.3], [0.6, 9.0], [1.0, 1.0], [0.2, 0.2]])
GIVEN = np.float32([[1.0], [-2.0], [3.0], [4.0]]) * MASK


def prepared(method, nats=NATS, given=GIVEN, group=(0, 0, 0, 0), mask=MASK):
  batch = common.batch(
    np.zeros(mask.shape),
    given,
    mask,
    reward=given[:, 0],
    group=group,
    stats={ENTROPY.key: np.float32(nats)},
  )
  return jax.jit(lambda b: common.prepared(method, b))(batch)


def factors(found):
  return np.asarray(found.advantages)[:, 0] / GIVEN[:, 0]


def test_confident_responses_gain_what_uncertain_ones_lose():
  found = prepared(ettrl_ear())
  # The mean of the group is 0.5 nats.
  np.testing.assert_allclose(factors(found), [1.6, 0.8, 0, 1.6], atol=1e-6)
  np.testing.assert_allclose(factors(found).mean(), 1, rtol=1e-6)
  np.testing.assert_allclose(found.metrics["ettrl_ear/entropy"], 0.5)


def test_the_sum_of_advantages_becomes_their_covariance_with_the_entropy():
  given = np.array([[0.5], [-1.0], [1.5], [-1.0]]) * MASK  # sums to 0
  found = prepared(ettrl_ear(), given=given)
  entropy = np.array([0.2, 0.6, 1.0, 0.2])
  cov = (given[:, 0] * (entropy - 0.5)).mean()
  want = -4 * cov / 0.5
  np.testing.assert_allclose(found.advantages[:, 0].sum(), want, rtol=1e-5)


def test_far_above_the_mean_an_advantage_turns_unless_a_floor_holds_it():
  nats = np.float32([[0.1, 0.1], [0.1, 0.0], [1.7, 1.7], [0.1, 0.1]])
  found = prepared(ettrl_ear(), nats)
  np.testing.assert_allclose(factors(found)[2], 2 - 3.4, rtol=1e-5)
  assert found.metrics["ettrl_ear/negative_fraction"] == 0.25
  held = prepared(ettrl_ear(floor=0.0), nats)
  np.testing.assert_allclose(factors(held), [1.8, 1.8, 0, 1.8], rtol=1e-5)
  assert held.metrics["ettrl_ear/factor_min"] == 0


def test_equal_entropies_and_none_at_all_change_nothing():
  for nats in (0.5, 0.0):
    found = prepared(ettrl_ear(), np.full(MASK.shape, nats))
    np.testing.assert_array_equal(found.advantages, GIVEN)


def test_each_group_has_its_own_mean_and_a_single_response_its_own():
  found = prepared(ettrl_ear(), group=(0, 0, 1, 2))
  # Means 0.4, then 1.0 and 0.2 alone.
  np.testing.assert_allclose(factors(found), [1.5, 0.5, 1, 1], rtol=1e-6)


def test_responses_without_tokens_stay_out_of_the_mean():
  mask = MASK.copy()
  mask[3] = 0
  found = prepared(ettrl_ear(), mask=mask, given=GIVEN * mask)
  # The mean of 0.2, 0.6 and 1.0.
  want = [2 - 1 / 3, 1, 2 - 5 / 3]
  np.testing.assert_allclose(factors(found)[:3], want, rtol=1e-5)


def test_the_box_binds_only_beyond_its_bound():
  found = prepared(ettrl_ear("clip"))
  np.testing.assert_array_equal(found.advantages[:, 0], [1, -2, 2, 2])
  np.testing.assert_allclose(found.metrics["ettrl_ear/clipped_fraction"], 4 / 7)
  assert not ettrl_ear("clip").needs and len(found.metrics) == 1
  wide = prepared(ettrl_ear("clip", bound=4.0))
  np.testing.assert_array_equal(wide.advantages, GIVEN)


@pytest.mark.parametrize(("right", "binds"), [(1, True), (2, False)])
def test_of_ten_verdicts_the_usual_box_binds_for_one_right_answer(right, binds):
  # |A| = sqrt((1 - p) / p) up to the lost degree of freedom: 2.85 and 1.90.
  reward = (np.arange(10) < right)[:, None] * np.ones((10, 2))
  ones = np.ones((10, 2))
  method = transform.chain(grpo(), ettrl_ear("clip"))
  found = prepared(method, ones, reward, [0] * 10, ones)
  assert (found.metrics["ettrl_ear/clipped_fraction"] > 0) == binds


@pytest.mark.parametrize(
  "wrong", [{"form": "box"}, {"floor": -0.5}, {"floor": 2.0}, {"bound": 0.0}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"ettrl_ear\.{next(iter(wrong))} = "):
    ettrl_ear(**wrong)
