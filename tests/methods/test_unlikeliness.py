"""Unlikeliness reward: ranks inside a group."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods, transform
from rlvr_jax.methods.unlikeliness import unlikeliness

pytestmark = pytest.mark.usefixtures("quick_compile")

# Means of the counted tokens: -1, -3, -2, -4 and, of the second group, -5.
OLD = np.array([[-1, -1], [-4, -2], [-2, -9], [-4, -4], [-5, 0]])
MASK = np.array([[1, 1], [1, 1], [1, 0], [1, 1], [1, 0]])
GROUP = [0, 0, 0, 0, 1]


def prepared(reward, behind="", **parameters):
  rollout = common.batch(OLD, None, MASK, reward=reward, group=GROUP)
  method = unlikeliness(**parameters)
  if behind:
    method = transform.chain(method, methods.make(behind))
  return jax.jit(lambda batch: common.prepared(method, batch))(rollout)


def test_the_likeliest_answer_loses_most_and_wrong_ones_stay_at_zero():
  found = prepared([1, 1, 0, 1, 1], discount=0.5)
  # Ranks 3, 1, 2, 0 of 4; a group of one has rank 0.
  want = [1 - 0.5 * 3 / 4, 1 - 0.5 / 4, 0, 1, 1]
  np.testing.assert_allclose(found.reward, want, rtol=1e-6)
  factor = found.metrics["unlikeliness/factor"]
  np.testing.assert_allclose(factor, (0.625 + 0.875 + 1 + 1) / 4, rtol=1e-6)
  rank = found.metrics["unlikeliness/right_rank"]
  want = (3.5 / 4 + 1.5 / 4 + 0.5 / 4 + 0.5) / 4
  np.testing.assert_allclose(rank, want, rtol=1e-6)


def test_a_response_without_tokens_has_no_rank():
  rollout = common.batch(OLD, None, MASK, reward=np.ones(5), group=GROUP)
  empty = rollout.replace(mask=rollout.mask.at[2].set(False))
  found = common.prepared(unlikeliness(discount=0.6), empty)
  # Ranks 2, 1 and 0 of the three others.
  want = [1 - 0.6 * 2 / 3, 1 - 0.6 / 3, 1, 1, 1]
  np.testing.assert_allclose(found.reward, want, rtol=1e-6)
  factor = found.metrics["unlikeliness/factor"]
  np.testing.assert_allclose(factor, (0.6 + 0.8 + 1 + 1) / 4, rtol=1e-6)


def test_without_a_discount_it_is_grpo():
  reward = [1, 0, 0, 1, 1]
  rollout = common.batch(OLD, None, MASK, reward=reward, group=GROUP)
  grpo = methods.make("grpo")
  plain = jax.jit(lambda batch: common.prepared(grpo, batch))(rollout)
  found = prepared(reward, behind="grpo", discount=0.0)
  np.testing.assert_array_equal(found.advantages, plain.advantages)


def test_a_group_of_right_answers_still_learns_from_their_ranks():
  found = np.asarray(prepared([1, 1, 1, 1, 0], "grpo").advantages)[:4, 0]
  assert found[3] > found[1] > 0 > found[2] > found[0]
  skipped = prepared([1, 1, 1, 1, 0], "grpo", skip_all_correct=True)
  assert not np.asarray(skipped.advantages)[:4].any()


def test_groups_with_a_wrong_answer_are_never_skipped():
  reward = [1, 1, 0, 1, 1]
  every = prepared(reward)
  mixed = prepared(reward, skip_all_correct=True)
  np.testing.assert_array_equal(every.reward, mixed.reward)


def test_a_discount_out_of_range_is_named():
  with pytest.raises(ValueError, match=r"unlikeliness\.discount = 1.5 must"):
    unlikeliness(discount=1.5)
