"""EMPG: advantages of steps by their entropy."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.empg import ENTROPY, empg, modulation

pytestmark = pytest.mark.usefixtures("quick_compile")

# Two rows of two steps, of two tokens and one, and a row of one step.
TURN = np.array([[0, 0, 1], [0, 2, 2], [1, 1, 1]])
MASK = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0]])
NATS = np.float32([[0.2, 0.6, 0.0], [0.8, 0.1, 0.3], [0.4, 9.0, 9.0]])
GIVEN = np.float32([[1.0] * 3, [-1.0] * 3, [0.5] * 3])
# Steps in reading order: entropy, relative to the range 0 .. 0.8, advantage.
RELATIVE = np.array([0.5, 0.0, 1.0, 0.25, 0.5])
ADVANTAGE = np.array([1.0, 1.0, -1.0, -1.0, 0.5])
FOLLOWING = np.array([1, -1, 3, -1, -1])


def batch(given=GIVEN, nats=NATS, mask=MASK, turn=TURN):
  return common.batch(
    np.zeros(mask.shape),
    given,
    mask,
    turn=turn,
    group=np.arange(len(mask)),
    stats={ENTROPY.key: nats},
  )


def prepared(method, rollout):
  return jax.jit(lambda b: common.prepared(method, b))(rollout)


def of_steps(found):
  """The value of each step, which all of its tokens share."""
  found = np.asarray(found)
  assert found[0, 0] == found[0, 1] and found[1, 1] == found[1, 2]
  assert not found[2, 1:].any()
  return found[[0, 0, 1, 1, 2], [0, 2, 0, 1, 0]]


def test_steps_are_scaled_by_confidence_and_paid_for_a_clear_next_step():
  g = np.exp(-2 * RELATIVE) / np.exp(-2 * RELATIVE).mean()
  f = np.exp(-3 * RELATIVE)
  bonus = 0.3 * np.where(FOLLOWING < 0, 0, f[FOLLOWING])
  want = ADVANTAGE * g + bonus
  method = empg(sharpness=2.0, clarity=3.0, bonus=0.3)
  found = prepared(method, batch())
  got = of_steps(found.advantages)
  np.testing.assert_allclose(got, want - want.mean(), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(got.sum(), 0, atol=1e-5)
  np.testing.assert_allclose(found.metrics["empg/scale_max"], g.max())
  assert found.metrics["empg/steps"] == 5


def test_the_scales_have_mean_one():
  nats = np.float32([0.3, 0.7, 0.1, 2.0])
  none = np.full(4, -1)
  counts = np.array([True, True, True, False])
  found = modulation(nats, nats, none, counts)
  np.testing.assert_allclose(np.mean(found.scale[:3]), 1, rtol=1e-6)
  assert found.scale[3] == 0 and found.shift[3] == 0


def test_without_sharpness_and_bonus_only_the_mean_over_steps_goes():
  found = prepared(empg(sharpness=0.0, bonus=0.0), batch())
  want = ADVANTAGE - ADVANTAGE.mean()  # every step once, not every token
  np.testing.assert_allclose(of_steps(found.advantages), want, atol=1e-6)


def test_equal_entropies_scale_nothing():
  found = prepared(empg(bonus=0.5), batch(nats=np.full_like(NATS, 0.5)))
  want = ADVANTAGE + 0.5 * (FOLLOWING >= 0)
  got = of_steps(found.advantages)
  np.testing.assert_allclose(got, want - want.mean(), atol=1e-6)


def test_trajectories_of_one_step_get_no_bonus():
  turn = np.zeros_like(TURN)
  found = [
    prepared(empg(bonus=b), batch(turn=turn)).advantages for b in (0.0, 5.0)
  ]
  np.testing.assert_array_equal(*found)


def test_tokens_of_a_step_may_have_advantages_of_their_own():
  given = GIVEN.copy()
  given[0, :2] = 0.5, 1.5  # the mean of the step stays
  plain = prepared(empg(), batch()).advantages
  found = prepared(empg(), batch(given)).advantages
  np.testing.assert_allclose(found[0, :2].mean(), plain[0, 0], rtol=1e-5)
  np.testing.assert_allclose(found[1:], plain[1:], rtol=1e-5)
  assert found[0, 0] < plain[0, 0] < found[0, 1]


def test_rows_without_a_group_are_no_steps_and_keep_their_advantages():
  short = batch(GIVEN[:2], NATS[:2], MASK[:2], TURN[:2])
  rollout = batch()
  rollout = rollout.replace(group=rollout.group.at[2].set(-1))
  found = prepared(empg(), rollout).advantages
  np.testing.assert_array_equal(found[2], [0.5, 0, 0])
  want = prepared(empg(), short).advantages
  np.testing.assert_allclose(found[:2], want, rtol=1e-6)


@pytest.mark.parametrize(
  ("name", "value"),
  [("sharpness", -1.0), ("clarity", -1.0), ("bonus", -0.1), ("epsilon", 0.0)],
)
def test_a_parameter_out_of_range_is_named(name, value):
  with pytest.raises(ValueError, match=rf"empg\.{name} = "):
    empg(**{name: value})
