"""Positive-Advantage Reweighting: the schedules of its weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.revisiting_entropy import ENTROPY, revisiting_entropy
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

ADVANTAGES = np.array([[1.0, -1.0, 0.0], [0.5, -2.0, 0.0]], np.float32)
OLD = np.full((2, 3), -1.0, np.float32)
LOGP = np.float32([[-0.6, -1.1, -1.0], [-1.0, -1.5, -0.9]])


def plain():
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  neutral = revisiting_entropy("constant", weight=1.0)
  return common.loss_and_grad(neutral, rollout, LOGP)


def weights(entropies, **given):
  """lambda in force at each step while the measured entropies come in."""
  method = rlvr_jax.chain(revisiting_entropy(**given))
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  loss_fn, prepare = rlvr_jax.loss(method), rlvr_jax.prepare(method)

  @jax.jit
  def one(state, number, nats):
    stats = {ENTROPY.key: jnp.full(OLD.shape, nats)}
    clock = Clock(number, 0, jax.random.key(0))
    batch, state = prepare(rollout.replace(stats=stats), state, clock)
    now = {LOGP_KEY: jnp.asarray(LOGP)}
    _, (state, metrics) = loss_fn(now, batch, state, clock)
    return state, metrics["revisiting_entropy/weight"]

  state, found = method.init(rollout), []
  for number, nats in enumerate(entropies):
    state, weight = one(state, jnp.int32(number), jnp.float32(nats))
    found.append(float(weight))
  return found


def test_weight_one_is_grpo_and_weight_zero_stops_positive_tokens_only():
  loss, gradient, _ = plain()
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  nothing = rlvr_jax.reweight("one", lambda objective, context: 1.0)
  as_grpo = common.loss_and_grad(nothing, rollout, LOGP)
  np.testing.assert_array_equal(loss, as_grpo[0])
  np.testing.assert_array_equal(gradient, as_grpo[1])
  without = common.loss_and_grad(
    revisiting_entropy("constant", weight=0.0), rollout, LOGP
  )[1]
  # The denominator is that of all tokens, so nothing else changes.
  np.testing.assert_array_equal(without, np.where(ADVANTAGES > 0, 0, gradient))


def test_a_weight_is_a_scale_of_the_positive_advantages():
  scaled = np.where(ADVANTAGES > 0, 0.25 * ADVANTAGES, ADVANTAGES)
  rollout = common.batch(OLD, scaled, np.ones(OLD.shape))
  neutral = revisiting_entropy("constant", weight=1.0)
  expected = common.loss_and_grad(neutral, rollout, LOGP)
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  method = revisiting_entropy("constant", weight=0.25)
  found = common.loss_and_grad(method, rollout, LOGP)
  np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
  np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def test_only_positive_tokens_remain_with_a_negative_weight_of_zero():
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  only = revisiting_entropy("constant", weight=1.0, negative_weight=0.0)
  _, found, metrics = common.loss_and_grad(only, rollout, LOGP)
  _, gradient, _ = plain()
  np.testing.assert_array_equal(found, np.where(ADVANTAGES < 0, 0, gradient))
  share = metrics["revisiting_entropy/positive_fraction"]
  np.testing.assert_allclose(share, 2 / 6, rtol=1e-6)


def test_the_random_clip_stops_its_share_of_the_positive_tokens():
  gains = np.where(np.arange(4000) % 2, 1.0, -1.0).reshape(40, 100)
  rollout = common.batch(0 * gains, gains, np.ones(gains.shape))
  method = revisiting_entropy("constant", weight=1.0, random_clip=0.2)
  gradient = np.asarray(common.loss_and_grad(method, rollout, 0 * gains)[1])
  assert (gradient[gains < 0] != 0).all()
  # Five standard deviations of a share of 2000 draws.
  error = 5 * np.sqrt(0.2 * 0.8 / 2000)
  assert abs((gradient[gains > 0] == 0).mean() - 0.2) < error


def test_the_weight_follows_the_entropy_one_step_late():
  found = weights([0.5, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1, 0.3], delta=0.25)
  # Up, up, up (an entropy on target counts as above), down three times to 0,
  # stays there, and the last entropy is for the step after.
  expected = [0.0, 0.25, 0.5, 0.75, 0.5, 0.25, 0.0, 0.0]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_weight_stays_between_zero_and_one():
  found = weights([1.0] * 5, delta=0.3, initial=0.5)
  np.testing.assert_allclose(found, [0.5, 0.8, 1.0, 1.0, 1.0], rtol=1e-6)
  found = weights([0.0] * 4, delta=0.3, initial=0.5)
  np.testing.assert_allclose(found, [0.5, 0.2, 0.0, 0.0], atol=1e-6)


def test_further_draws_do_not_decide_the_weight():
  method = rlvr_jax.chain(revisiting_entropy())
  nats = np.float32([[0.1, 0.1, 0.1], [9.0, 9.0, 9.0]])
  rollout = common.batch(
    OLD, ADVANTAGES, np.ones(OLD.shape), source=[0, 1],
    stats={ENTROPY.key: nats},
  )  # fmt: skip
  measured = common.prepared(method, rollout).metrics
  np.testing.assert_allclose(
    measured["revisiting_entropy/entropy"], 0.1, rtol=1e-6
  )


@pytest.mark.parametrize("schedule", ["stage", "epoch", "constant"])
def test_a_schedule_without_feedback_needs_no_entropy(schedule):
  method = revisiting_entropy(schedule)
  rollout = common.batch(OLD, ADVANTAGES, np.ones(OLD.shape))
  assert not method.needs and not jax.tree.leaves(method.init(rollout))
  assert not common.prepared(method, rollout).metrics


def test_the_stages_are_nothing_and_then_a_straight_line():
  found = weights([0.0] * 9, schedule="stage", steps=8)
  expected = [0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0]
  np.testing.assert_allclose(found, expected, atol=1e-7)


def test_the_weight_is_constant_within_an_epoch():
  found = weights([0.0] * 8, schedule="epoch", steps=6, epochs=3)
  np.testing.assert_allclose(found, [0, 0, 0.5, 0.5, 1, 1, 1, 1], atol=1e-7)
  assert weights([0.0] * 2, schedule="epoch", epochs=1) == [1.0, 1.0]
  # 11 steps in 10 epochs: floats would put some first steps too early.
  found = weights([0.0] * 11, schedule="epoch", steps=11, epochs=10)
  expected = [(10 * k // 11) / 9 for k in range(11)]
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_in_a_bandit_both_halves_pull_alike_by_the_shares_of_right_and_wrong():
  # Five arms, two of them right, each taken once and weighed by its
  # probability: with A = R - P the logits move by p (right - P), times 1 - P
  # for the positive half and P for the negative one.
  right = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
  z = jnp.asarray([0.2, 0.1, 0.0, -0.1, 0.0])
  p = np.asarray(jax.nn.softmax(z))
  chance = (p * right).sum()
  logp = np.log(p)[:, None]
  gain = (5 * p * (right - chance))[:, None]

  def pull(**given):
    rollout = common.batch(logp, gain, np.ones((5, 1)))
    method = revisiting_entropy("constant", **given)
    slope = common.loss_and_grad(method, rollout, logp)[1][:, 0]
    return -jax.vjp(jax.nn.log_softmax, z)[1](slope)[0]

  both = p * (right - chance)
  positive = pull(weight=1.0, negative_weight=0.0)
  negative = pull(weight=0.0)
  np.testing.assert_allclose(positive, (1 - chance) * both, atol=1e-7)
  np.testing.assert_allclose(negative, chance * both, atol=1e-7)
  np.testing.assert_allclose(pull(weight=1.0), both, atol=1e-7)


@pytest.mark.parametrize(
  "wrong",
  [
    {"schedule": "cosine"},
    {"target": -0.1},
    {"delta": 0.0},
    {"initial": 1.5},
    {"steps": 0},
    {"epochs": 0},
    {"weight": -1.0},
    {"negative_weight": -1.0},
    {"random_clip": 1.5},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"revisiting_entropy\.{name} = {value!r} must"
  ):
    revisiting_entropy(**wrong)
