"""The corridor around the entropy of the past, and its coefficient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.epo import ENTROPY, ROLLOUT_ENTROPY, epo
from rlvr_jax.stats import LOGP
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

NATS = np.float32([[0.25, 1.0, 3.0]])
MASK = np.ones((1, 3))


def history(method, entropies, mask=MASK, turn=None, source=None):
  """The state of the method after rollouts of these entropies."""
  one = np.ones(mask.shape)
  rollout = common.batch(
    0 * one,
    None,
    mask,
    turn=turn,
    source=source,
    stats={ROLLOUT_ENTROPY.key: one},
  )
  chain = rlvr_jax.chain(method)
  prepare = jax.jit(rlvr_jax.prepare(chain))
  state = chain.init(rollout)
  for nats in entropies:
    nats = jnp.broadcast_to(jnp.asarray(nats, jnp.float32), mask.shape)
    batch = rollout.replace(stats={ROLLOUT_ENTROPY.key: nats})
    _, state = prepare(batch, state, Clock(0, 0, jax.random.key(0)))
  return state


def loss(method, state, step=0, nats=NATS, mask=MASK, turn=None):
  """Loss, gradient by the entropies, metrics."""
  rollout = common.batch(0 * mask, None, mask, turn=turn)
  loss_fn = rlvr_jax.loss(rlvr_jax.chain(method))

  def run(nats):
    stats = {LOGP.key: jnp.zeros(mask.shape), ENTROPY.key: nats}
    clock = Clock(jnp.int32(step), 0, jax.random.key(0))
    value, (_, metrics) = loss_fn(stats, rollout, state, clock)
    return value, metrics

  grad = jax.jit(jax.value_and_grad(run, has_aux=True))
  (value, metrics), gradient = grad(jnp.asarray(nats))
  return value, gradient, metrics


CORRIDOR = {"coef": 0.5, "low": 0.5, "high": 2.0, "penalty": 0.25}


def test_the_slope_is_larger_below_the_corridor_and_smaller_above():
  method = epo(**CORRIDOR)  # beta is 2 in the first step
  state = history(method, [1.0, 1.0])  # so the corridor is 0.5 to 2
  value, gradient, metrics = loss(method, state)
  slope = -0.5 / 3 * np.array([[1 + 0.5, 1.0, 1 - 0.5]])
  np.testing.assert_allclose(gradient, slope, rtol=1e-6)
  excess = np.array([0.25, 0.0, 1.0])
  want = -0.5 * np.mean(NATS[0] - 2 * 0.25 * excess)
  np.testing.assert_allclose(value, want, rtol=1e-6)
  np.testing.assert_allclose(metrics["epo/outside_fraction"], 2 / 3, rtol=1e-6)


def test_the_first_step_is_a_plain_entropy_bonus():
  method = epo(**CORRIDOR)
  value, gradient, metrics = loss(method, history(method, [9.0]))
  np.testing.assert_allclose(value, -0.5 * NATS.mean(), rtol=1e-6)
  np.testing.assert_allclose(gradient, np.full((1, 3), -0.5 / 3), rtol=1e-6)
  assert metrics["epo/reference"] == 0
  # The code counts the current step too.
  method = epo(**CORRIDOR, include_current=True)
  metrics = loss(method, history(method, [9.0]))[2]
  assert metrics["epo/reference"] == 9


@functools.cache
def of_one_token(penalty):
  given_form = {"form": "indicator", "schedule": "constant"}
  method = epo(1.0, penalty=penalty, low=0.5, high=1.0, **given_form)
  one = np.ones((1, 1))
  state = history(method, [1.0, 1.0], mask=one)
  loss_fn = rlvr_jax.loss(rlvr_jax.chain(method))
  rollout = common.batch(one, None, one)

  def run(nats):
    stats = {LOGP.key: jnp.zeros((1, 1)), ENTROPY.key: nats[None, None]}
    clock = Clock(0, 0, jax.random.key(0))
    return loss_fn(stats, rollout, state, clock)[0]

  return jax.jit(jax.value_and_grad(run))


@given(st.floats(0, 1.5, width=32))
def test_the_indicator_has_exactly_the_gradient_of_the_bonus(entropy):
  value, gradient = of_one_token(0.1)(jnp.float32(entropy))
  plain_value, plain_gradient = of_one_token(0.0)(jnp.float32(entropy))
  np.testing.assert_array_equal(gradient, plain_gradient)
  outside = not 0.5 < entropy < 1.0
  np.testing.assert_allclose(value - plain_value, 0.1 * outside, atol=1e-6)


def test_the_reference_is_the_plain_mean_of_all_earlier_steps():
  method = epo()
  for order in ([1.0, 2.0, 6.0, 50.0], [6.0, 1.0, 2.0, 70.0]):
    state = history(method, order)
    np.testing.assert_allclose(state["epo"].reference, [3.0], rtol=1e-6)


def test_only_the_main_draw_makes_history():
  mask = np.ones((2, 1))
  state = history(epo(), [[[1.0], [9.0]]] * 2, mask, source=np.array([0, 1]))
  assert state["epo"].reference == 1


def test_each_turn_has_a_history_of_its_own():
  turn = np.array([[0, 1, 1, 5], [0, 0, 0, 0]])
  mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])
  method = epo(turns=4)
  entropies = [[[1, 2, 4, 7], [3, 9, 9, 9]]] * 2
  state = history(method, entropies, mask, turn=turn)
  # Turn 2 never came; turn 5 is beyond the last one.
  np.testing.assert_array_equal(state["epo"].reference, [2, 3, 0, 7])
  np.testing.assert_array_equal(state["epo"].known, [True, True, False, True])
  turn = np.array([[0, 1, 2]])
  outside = {"low": 1.0, "high": 1.0, "turns": 4}
  method = epo(**outside, form="indicator")
  metrics = loss(method, state, turn=turn, nats=np.float32([[2.5] * 3]))[2]
  # Without a history there is no corridor.
  np.testing.assert_allclose(metrics["epo/outside_fraction"], 2 / 3, rtol=1e-6)


def test_a_row_is_compared_by_its_mean():
  method = epo(**CORRIDOR | {"low": 1.0}, level="row", schedule="constant")
  state = history(method, [2.0, 2.0])
  # The mean 17/12 lies 7/12 below 2, and each entropy moves it by a third.
  value, gradient, _ = loss(method, state)
  want = -0.5 * (NATS.mean() - 0.25 * 7 / 12)
  np.testing.assert_allclose(value, want, rtol=1e-6)
  slope = np.full((1, 3), -0.5 / 3 * (1 + 0.25))
  np.testing.assert_allclose(gradient, slope, rtol=1e-6)


def schedule(step, **parameters):
  method = epo(**parameters)
  return loss(method, history(method, [1.0]), step)[2]["epo/schedule"]


def test_the_paper_halves_the_penalty_towards_one():
  found = [schedule(step, steps=150) for step in (0, 75, 150)]
  want = [2.0, 1 + np.exp(-3), 1 + np.exp(-6)]
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_code_jumps_in_the_middle_and_ends_close_to_zero():
  # The other epochs are among the reference vectors.
  found = [schedule(s, schedule="code", steps=150) for s in (0, 75, 150, 999)]
  end = 0.8 * np.exp(-3)
  want = [1.0, 1 - 0.2 * (1 - np.exp(-2)), end, end]
  np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize(
  "wrong",
  [
    {"coef": -1.0},
    {"penalty": -1.0},
    {"low": -1.0},
    {"high": -1.0},
    {"form": "square"},
    {"schedule": "linear"},
    {"gamma": -1.0},
    {"steps": 1},
    {"level": "group"},
    {"turns": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"epo\.{name} = {value!r} must"):
    epo(**wrong)
