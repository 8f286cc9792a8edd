"""The entropy bonus and the rules of its coefficient."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.entropy_bonus import (
  ENTROPY,
  ROLLOUT_ENTROPY,
  entropy_bonus,
)
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

DELTA, MOST, TARGET = 0.25, 1.0, 0.5  # exact in binary


@functools.cache
def coefficients(adaptive, tie=None):
  """Jitted: measured entropies f32[N] to what was in force, and was kept."""
  method = entropy_bonus(
    adaptive=adaptive, target=TARGET, delta=DELTA, coef_max=MOST, tie=tie
  )
  one = np.ones((1, 1), np.float32)
  rollout = common.batch(one, None, one, stats={ROLLOUT_ENTROPY.key: one})
  prepare = rlvr_jax.prepare(method)

  def step(state, entropy):
    nats = jnp.full((1, 1), entropy)
    batch = rollout.replace(old_logp=-nats, stats={ROLLOUT_ENTROPY.key: nats})
    state = prepare(batch, state, Clock(0, 0, jax.random.key(0)))[1]
    now = state["entropy_bonus"]
    return state, (now.applied, now.coef)

  start = rlvr_jax.chain(method).init(rollout)
  return jax.jit(lambda entropies: jax.lax.scan(step, start, entropies)[1])


def run(adaptive, entropies, tie=None):
  given_entropies = jnp.asarray(entropies, jnp.float32)
  return tuple(
    np.asarray(x).tolist() for x in coefficients(adaptive, tie)(given_entropies)
  )


def test_low_entropy_raises_the_coefficient_step_by_step_up_to_its_bound():
  applied, kept = run("skywork", [0.0] * 6)
  assert applied == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
  assert kept == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_high_entropy_switches_off_one_step_late_and_the_coefficient_decays():
  applied, kept = run("skywork", [0.0, 0.0, 9.0, 9.0, 0.0, 0.0])
  assert applied == [0.0, 0.25, 0.5, 0.0, 0.0, 0.25]
  assert kept == [0.25, 0.5, 0.25, 0.0, 0.25, 0.5]


def test_a_tie_counts_as_above_in_skywork_and_as_below_in_trl():
  tied = [TARGET] * 6
  assert run("skywork", tied)[1] == [0.0] * 6
  assert run("trl", tied)[1] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
  assert run("skywork", tied, "below") == run("skywork", [0.0] * 6)
  assert run("trl", tied, "above")[1] == [0.0] * 6


def test_trl_begins_switched_off_whatever_the_first_coefficient():
  for adaptive, first in (("skywork", 0.5), ("trl", 0.0)):
    method = entropy_bonus(adaptive=adaptive, coef_max=1.0, coef_initial=0.5)
    assert method.init(None).applied == first


def integral(entropies, **parameters):
  """What was in force and what was kept, step by step."""
  method = entropy_bonus(adaptive="integral", **parameters)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = rlvr_jax.chain(method).init(None), []
  for entropy in entropies:
    nats = np.full((1, 1), entropy, np.float32)
    stats = {ROLLOUT_ENTROPY.key: nats}
    rollout = common.batch(-nats, None, np.ones((1, 1)), stats=stats)
    state = prepare(rollout, state, Clock(0, 0, jax.random.key(0)))[1]
    now = state["entropy_bonus"]
    found.append((float(now.applied), float(now.coef)))
  return found


def test_the_integral_sums_up_what_is_missing_to_the_first_entropy():
  # Errors 0, 1/4, 1/2 and -1/4 of the anchor 1; a rate of 1/2.
  found = integral([1.0, 0.75, 0.5, 1.25], rate=0.5, coef_max=math.inf)
  assert found == [(0.0, 0.0), (0.0, 0.125), (0.125, 0.375), (0.375, 0.25)]


def test_the_integral_stays_in_its_range():
  found = integral([1.0, 0.0, 0.0, 9.0, 9.0], rate=1.0, coef_max=0.5)
  assert [kept for _, kept in found] == [0.0, 0.5, 0.5, 0.0, 0.0]


def test_an_integral_of_rate_zero_keeps_its_first_coefficient():
  found = integral([1.0, 0.0, 3.0], rate=0.0, coef_initial=0.0009765625)
  assert found == [(0.0009765625, 0.0009765625)] * 3


@given(st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6))
def test_the_coefficient_stays_in_its_range(entropies):
  for adaptive in ("skywork", "trl"):
    applied, kept = run(adaptive, entropies)
    assert all(0 <= c <= MOST for c in applied + kept)


def test_only_the_main_draw_is_measured():
  method = entropy_bonus(adaptive="skywork")
  rollout = common.batch(
    np.float32([[-1.0, -3.0], [-7.0, -7.0]]),
    None,
    np.ones((2, 2)),
    source=np.array([0, 1]),
  )
  metrics = common.prepared(method, rollout).metrics
  assert metrics["entropy_bonus/measured"] == 2.0


def test_the_bonus_is_the_mean_entropy_times_the_coefficient():
  entropy = np.float32([[1.0, 2.0], [3.0, 40.0]])
  mask = np.array([[1, 1], [1, 0]])
  rollout = common.batch(np.zeros((2, 2)), None, mask)
  loss, _, metrics = common.loss_and_grad(
    entropy_bonus(0.5), rollout, np.zeros((2, 2)), stats={ENTROPY.key: entropy}
  )
  assert loss == -0.5 * 2.0  # (1 + 2 + 3) / 3
  assert metrics["entropy_bonus/entropy"] == 2.0


@pytest.mark.parametrize(
  "wrong",
  [
    {"coef": -1.0},
    {"adaptive": "other"},
    {"target": -0.1},
    {"delta": 0.0},
    {"rate": -0.1},
    {"coef_min": 1.0},
    {"coef_initial": 1.0},
    {"tie": "middle"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"entropy_bonus\.{name} = "):
    entropy_bonus(**wrong)
