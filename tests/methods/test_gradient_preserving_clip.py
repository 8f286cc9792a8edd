"""Probability-dependent clip bounds: their schedules and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.gradient_preserving_clip import (
  ENTROPY,
  gradient_preserving_clip,
)
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

U = lambda p: -0.25 * p + 0.5
L = lambda p: -0.13 * p + 0.3


def distances(p, entropies, *, first=0, old=None, **given):
  """(above, below) 1 at each step from `first`, of a token of probability p."""
  method = rlvr_jax.chain(gradient_preserving_clip(**given))
  logp = jnp.log(jnp.full((1, 1), p))
  rollout = common.batch(
    logp if old is None else np.log([[old]]), [[1.0]], [[1]]
  )
  loss_fn, prepare = rlvr_jax.loss(method), rlvr_jax.prepare(method)

  @jax.jit
  def one(state, number, nats):
    clock = Clock(number, 0, jax.random.key(0))
    stats = {ENTROPY.key: nats.reshape(1, 1)}
    batch, state = prepare(rollout.replace(stats=stats), state, clock)
    _, (state, found) = loss_fn({LOGP_KEY: logp}, batch, state, clock)
    name = "gradient_preserving_clip/"
    return state, (found[name + "high"], found[name + "low"])

  state, pairs = method.init(rollout), []
  for number, nats in enumerate(entropies):
    state, pair = one(state, jnp.int32(first + number), jnp.float32(nats))
    pairs.append(tuple(map(float, pair)))
  return pairs


def at_steps(p, ks, **given):
  return [distances(p, [1.0], first=k, **given)[0] for k in ks]


def test_flat_bounds_at_the_base_are_ppo():
  dice = np.random.default_rng(0)
  old = np.float32(-dice.exponential(size=(4, 3)))
  logp = np.float32(old + 0.4 * dice.normal(size=old.shape))
  advantages = np.float32(dice.normal(size=old.shape))
  rollout = common.batch(old, advantages, np.ones(old.shape))
  flat = dict(high_slope=0.0, low_slope=0.0)
  flat |= dict(high_intercept=0.2, low_intercept=0.2)
  for strategy in ("id", "did", "od"):
    method = gradient_preserving_clip(strategy, **flat)
    found = common.loss_and_grad(method, rollout, logp)
    expected = common.loss_and_grad(ppo_clip(0.2, 0.2), rollout, logp)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_improbable_tokens_have_the_wider_bounds():
  ((rare, _),) = distances(1e-9, [1.0])
  ((sure, _),) = distances(1.0, [1.0])
  assert (rare, sure) == pytest.approx((0.5, 0.25))
  rare, sure = (distances(p, [1.0], strategy="od")[0][1] for p in (1e-9, 1.0))
  assert (rare, sure) == pytest.approx((0.3, 0.17))


def test_id_goes_from_a_wide_top_to_a_wide_bottom_to_ppo():
  p = 0.4
  found = at_steps(p, (0, 50, 100, 101, 150, 200, 250), steps=200)
  expected = [
    (U(p), 0.2),
    ((U(p) + 0.2) / 2, 0.2),
    (0.2, 0.2),
    (0.2, 0.99 * L(p) + 0.01 * 0.2),
    (0.2, (L(p) + 0.2) / 2),
    (0.2, 0.2),
    (0.2, 0.2),
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_did_opens_the_top_and_keeps_it():
  p = 0.4
  found = at_steps(p, (0, 50, 100, 101, 200), strategy="did", steps=200)
  expected = [
    (0.2, 0.2),
    ((U(p) + 0.2) / 2, 0.2),
    (U(p), 0.2),
    (U(p), 0.99 * L(p) + 0.01 * 0.2),
    (U(p), 0.2),
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_phases_may_be_of_different_length():
  p = 0.4
  found = at_steps(p, (0, 30, 60, 61, 80), steps=100, split=0.6)
  expected = [
    (U(p), 0.2),
    ((U(p) + 0.2) / 2, 0.2),
    (0.2, 0.2),
    (0.2, L(p) * 39 / 40 + 0.2 / 40),
    (0.2, (L(p) + 0.2) / 2),
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_od_switches_at_the_floor_and_at_the_falling_ceiling_only():
  # Of 1 nat at the start: floor 0.2, ceiling 1 - 0.8 k / 10.
  nats = [1.0, 0.5, 0.21, 0.2, 0.5, 0.55, 0.51, 0.5, 0.3, 0.25, 0.2, 0.21]
  found = distances(0.4, nats, strategy="od", steps=10)
  # Ceilings from step 3 on: .76 .68 .6 .52 .44 .36 .28 .2
  raises = [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0]
  expected = [(U(0.4), 0.2) if up else (0.2, L(0.4)) for up in raises]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_further_draws_do_not_switch():
  rollout = common.batch(
    np.zeros((2, 1)),
    None,
    np.ones((2, 1)),
    source=[0, 1],
    stats={ENTROPY.key: np.float32([[0.5], [9.0]])},
  )
  found = common.prepared(gradient_preserving_clip("od"), rollout).metrics
  assert found["gradient_preserving_clip/entropy"] == 0.5


@pytest.mark.parametrize("strategy", ["id", "did"])
def test_a_schedule_without_feedback_needs_no_entropy(strategy):
  method = gradient_preserving_clip(strategy)
  rollout = common.batch([[0.0]], [[1.0]], [[1]])
  assert not method.needs and not jax.tree.leaves(method.init(rollout))
  assert not common.prepared(method, rollout).metrics


def test_the_bound_is_where_the_current_probability_says():
  # r <= 1 + beta + alpha pi with pi = r pi_old.
  old = np.array([[0.05, 0.3, 0.6]])
  bound = (1 + 0.5) * old / (1 + 0.25 * old)
  rollout = common.batch(np.log(old), np.ones(old.shape), np.ones(old.shape))
  slope = lambda p: np.asarray(
    common.loss_and_grad(gradient_preserving_clip(), rollout, np.log(p))[1]
  )
  assert (slope(bound * 0.999) < 0).all()
  assert (slope(bound * 1.001) == 0).all()


def test_the_old_probability_may_set_the_bounds():
  given = dict(old=0.1, first=0)
  ((current, _),) = distances(0.9, [1.0], **given)
  ((old, _),) = distances(0.9, [1.0], **given, probability="old")
  assert (current, old) == pytest.approx((U(0.9), U(0.1)))


@pytest.mark.parametrize(
  "wrong",
  [
    {"strategy": "up"},
    {"probability": "new"},
    {"steps": 0},
    {"split": 1.0},
    {"base": 1.5},
    {"high_intercept": -0.1},
    {"high_slope": -0.6},
    {"low_intercept": 1.2},
    {"low_slope": 0.9},
    {"floor": -1.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"gradient_preserving_clip\.{name} = {value!r} must"
  ):
    gradient_preserving_clip(**wrong)
