"""Which groups get a bonus, and how its coefficient moves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.aer import ENTROPY, NOTE, ROLLOUT_ENTROPY, aer
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

# Groups with 0, 1/4, 1/2 and 1 of their rows right, and a row without a group.
GROUP = [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
REWARD = [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1]


def bonus(reward=REWARD, **parameters):
  """Coefficient of each group at c = 0.5."""
  rows = len(GROUP) + 1
  mask = np.ones((rows, 1))
  batch = common.batch(
    0 * mask,
    None,
    mask,
    reward=[*reward, 0],
    group=[*GROUP, 9],
    stats={ROLLOUT_ENTROPY.key: mask},
  )
  batch = batch.replace(group=batch.group.at[-1].set(-1))
  method = aer(coef_initial=0.5, **parameters)
  found = common.prepared(method, batch).notes[NOTE]
  assert found[-1] == 0  # no group, no bonus
  by_group = np.asarray(found[:-1]).reshape(4, 4)
  np.testing.assert_array_equal(by_group, by_group[:, :1] + np.zeros(4))
  return by_group[:, 0].tolist()


def test_the_bonus_falls_with_the_accuracy_of_the_group():
  assert bonus() == [0.5, 0.25, 0.0, 0.0]
  assert bonus(shape="linear") == [0.5, 0.375, 0.25, 0.0]
  assert bonus(difficulty=1.0) == bonus(shape="linear")
  assert bonus(shape="step") == [0.5, 0.5, 0.5, 0.0]
  assert bonus(shape="step", difficulty=0.25) == [0.5, 0.5, 0.0, 0.0]


def test_solved_groups_get_nothing_whatever_the_coefficient():
  assert bonus(reward=[1] * 16) == [0.0] * 4


@functools.cache
def rule(**parameters):
  """Jitted: measured entropies f32[N] to c of the steps and the targets."""
  method = aer(**parameters)
  one = np.ones((1, 1), np.float32)
  rollout = common.batch(one, None, one, stats={ROLLOUT_ENTROPY.key: one})
  prepare = rlvr_jax.prepare(method)

  def step(state, entropy):
    nats = {ROLLOUT_ENTROPY.key: jnp.full((1, 1), entropy)}
    clock = Clock(0, 0, jax.random.key(0))
    batch, state = prepare(rollout.replace(stats=nats), state, clock)
    return state, (batch.metrics["aer/coef"], batch.metrics["aer/target"])

  start = rlvr_jax.chain(method).init(rollout)
  return jax.jit(lambda x: jax.lax.scan(step, start, x)[1])


def run(entropies, **parameters):
  found = rule(**parameters)(jnp.asarray(entropies, jnp.float32))
  return tuple(np.asarray(x).tolist() for x in found)


def test_the_target_is_a_share_of_the_first_entropy_for_good():
  _, target = run([2.0, 9.0, 0.1], target_ratio=0.5, rate=0.25)
  assert target == [1.0, 1.0, 1.0]


def test_the_coefficient_climbs_below_the_target_and_falls_to_zero_above():
  entropies = [2.0, 0.0, 0.5, 1.0, 1.0, 2.0, 9.0, 0.0]
  coef, _ = run(entropies, target_ratio=0.5, rate=0.25)
  # It moves by a quarter of the error, one step late, and rests at the target.
  assert coef == [0.0, 0.0, 0.25, 0.375, 0.375, 0.375, 0.125, 0.0]


def test_the_coefficient_moves_by_the_sign_or_by_a_factor_too():
  entropies = [2.0, 0.5, 0.0, 1.0, 1.0, 9.0, 9.0]
  given = {"target_ratio": 0.5, "rate": 0.25}
  coef, _ = run(entropies, rule="sign", coef_max=0.375, **given)
  assert coef == [0.0, 0.0, 0.25, 0.375, 0.375, 0.375, 0.125]
  coef, _ = run(entropies, rule="exp", coef_initial=1.0, **given)
  error = 1.0 - np.array(entropies[:-1])
  want = np.exp(0.25 * np.cumsum([0.0, *error]))
  np.testing.assert_allclose(coef, want, rtol=1e-6)


def test_each_row_has_its_own_share_of_the_entropy_in_the_loss():
  mask = np.array([[1, 1], [1, 0]])
  batch = common.batch(0 * mask, None, mask, notes={NOTE: [0.5, 0.25]})
  stats = {ENTROPY.key: np.float32([[1.0, 3.0], [2.0, 90.0]])}
  method = aer()
  loss, _, metrics = common.loss_and_grad(method, batch, 0 * mask, stats=stats)
  assert metrics["aer/entropy"] == 2.0
  want = -(0.5 * 1 + 0.5 * 3 + 0.25 * 2) / 3
  np.testing.assert_allclose(loss, want, rtol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"target_ratio": 0.0},
    {"difficulty": 0.0},
    {"rate": -1.0},
    {"shape": "round"},
    {"rule": "none"},
    {"coef_initial": -1.0},
    {"rule": "exp", "coef_initial": 0.0},
    {"coef_max": -1.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  name, value = list(wrong.items())[-1]
  with pytest.raises(ValueError, match=rf"aer\.{name} = {value!r} must"):
    aer(**wrong)
