"""From token statistics to one number, by closed forms."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import rlvr_jax
from golden_adapters import common
from rlvr_jax import methods, objective, testing, transform
from rlvr_jax.types import LOGP_KEY, Clock, Context

pytestmark = pytest.mark.usefixtures("quick_compile")

# Row lengths 3, 1 and 0.
MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
IDENTITY = transform.LossTransform("identity")
NOTHING = Context(0, 0, jax.random.key(0), None, {})


def record(ratio, advantages, *, clip=(0.2, 0.2)):
  """An Objective of one row with the given ratios."""
  log_ratio = np.log(np.atleast_2d(ratio)).astype(np.float32)
  ones = np.ones_like(log_ratio)
  batch = common.batch(0 * ones, np.atleast_2d(advantages), ones)
  return objective.initial({LOGP_KEY: jnp.asarray(log_ratio)}, batch, clip)


@pytest.mark.parametrize(
  ("mode", "scale", "weights"),
  [
    # 4 counted tokens
    ("token-mean", None, [1 / 4, 1 / 4]),
    # 2 rows that count
    ("seq-mean-token-sum", None, [1 / 2, 1 / 2]),
    # 2 rows of 3 and 1 tokens
    ("seq-mean-token-mean", None, [1 / 6, 1 / 2]),
    # T = 4 positions, or the constant
    ("seq-mean-token-sum-norm", None, [1 / 4, 1 / 4]),
    ("seq-mean-token-sum-norm", 32.0, [1 / 32, 1 / 32]),
  ],
)
def test_aggregation_weights_have_their_closed_form(mode, scale, weights):
  got = objective.aggregation(jnp.asarray(MASK, jnp.float32), mode, scale)
  want = MASK * np.array([*weights, 0.0])[:, None]
  np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("mode", get_args(objective.Aggregation))
def test_nothing_counted_aggregates_to_zero(mode):
  assert not objective.aggregation(jnp.zeros((3, 4)), mode).any()


def test_the_divergence_is_the_mean_of_its_estimator_over_counted_tokens():
  at = record([0.5, 2.0, 3.0], [0.0, 0.0, 0.0])
  at = at.replace(mask=jnp.array([[1.0, 1.0, 0.0]]))
  # -log(1/2) and -log 2 cancel; r - 1 adds -1/2 and 1.
  np.testing.assert_allclose(objective.divergence(at), 0.0, atol=1e-7)
  np.testing.assert_allclose(objective.divergence(at, "k3"), 0.25, rtol=1e-6)


def test_a_loss_of_nothing_has_no_clipped_token():
  at = record([0.5, 2.0, 3.0], [1.0, -1.0, 1.0], clip=(1.0, np.inf))
  at = at.replace(surrogate=objective.nothing)
  assert not objective.nothing(at, NOTHING).any()
  assert not objective.is_clipped(at, NOTHING).any()


def test_an_unknown_mode_is_refused_with_the_known_ones():
  with pytest.raises(ValueError, match="'token-maen' must be one of.*token-m"):
    objective.aggregation(jnp.ones((1, 1)), "token-maen")


@pytest.mark.parametrize(
  ("ratio", "advantage", "high", "loss", "is_clipped"),
  [
    (1.0, 1.0, 0.2, -1.0, False),
    # A = 1 and r = 1.25: stopped at 1.2, free below 1.28.
    (1.25, 1.0, 0.2, -1.2, True),
    (1.25, 1.0, 0.28, -1.25, False),
    (0.5, 1.0, 0.2, -0.5, False),
    # A = -1 and r = 0.5: stopped at 0.8.
    (0.5, -1.0, 0.2, 0.8, True),
    (5.0, -1.0, 0.2, 5.0, False),
    (1.25, 0.0, 0.2, 0.0, False),
  ],
)
def test_the_clipped_surrogate_of_one_token(
  ratio, advantage, high, loss, is_clipped
):
  one = record([ratio], [advantage], clip=(0.2, high))
  got = objective.ppo_clip(one, NOTHING)
  np.testing.assert_allclose(got, [[loss]], rtol=1e-6)
  assert objective.is_clipped(one, None).item() == is_clipped


def test_only_what_the_bounds_stop_is_clipped():
  far = record([5.0, 5.0, 0.1], [1.0, -1.0, -1.0])
  ask = lambda s: objective.is_clipped(far.replace(surrogate=s), None).tolist()
  assert ask(objective.ppo_clip) == [[True, False, True]]
  assert ask(objective.clipped(dual=3.0)) == [[True, False, True]]
  assert ask(objective.unclipped()) == [[False, False, False]]


def test_the_dual_clip_bounds_the_loss_of_negative_advantages_only():
  both = record([5.0, 5.0, 2.0], [-1.0, 1.0, -1.0])
  got = objective.clipped(dual=3.0)(both, NOTHING)
  # -A dual = 3 instead of 5; 1.2 as ever; 2 is below the bound.
  np.testing.assert_allclose(got, [[3.0, -1.2, 2.0]], rtol=1e-6)


def test_the_unclipped_surrogate_is_the_weighted_policy_gradient():
  both = record([5.0, 0.1], [-1.0, 2.0])
  got = objective.unclipped()(both, NOTHING)
  np.testing.assert_allclose(got, [[5.0, -0.2]], rtol=1e-6)


def test_a_clipped_token_has_no_gradient_and_a_bound_itself_has_all():
  def loss(log_ratio):
    return objective.ppo_clip(given.replace(log_ratio=log_ratio), NOTHING).sum()

  given = record([1.3, 1.0, 0.5], [1.0, 1.0, -1.0])
  slope = jax.grad(loss)(given.log_ratio)
  np.testing.assert_allclose(slope, [[0.0, -1.0, 0.0]], atol=1e-6)


def test_the_ratio_is_bounded_and_the_bound_can_be_lifted():
  far = record([1.0], [1.0]).replace(log_ratio=jnp.array([[50.0]]))
  for bound, given in ((20.0, {}), (2.0, {"max_log_ratio": 2.0})):
    got = objective.ratio(far, **given)
    np.testing.assert_allclose(got, [[np.exp(bound)]], rtol=1e-6)
  assert objective.ratio(far, None).item() > 5e21


def rollout(**fields):
  rows, length = MASK.shape
  dice = np.random.default_rng(0)
  noise = lambda: dice.normal(size=MASK.shape).astype(np.float32)
  batch = common.batch(noise(), noise(), MASK, reward=[1.0, 0.0, 0.5])
  return batch.replace(**fields), noise()


def test_the_total_is_policy_plus_added_plus_extra():
  batch, logp = rollout()

  def apply(record, state, context):
    return record.replace(
      weights=record.weights * 0.5,
      added=record.added + 3.0,
      extra=record.extra + 7.0,
    ), state

  method = transform.LossTransform("edit", apply=apply)
  loss, _, metrics = common.loss_and_grad(method, batch, logp)
  ratio = np.exp(logp - np.asarray(batch.old_logp))
  advantages = np.asarray(batch.advantages)
  free, bound = -advantages * ratio, -advantages * np.clip(ratio, 0.8, 1.2)
  policy = 0.5 * np.maximum(free, bound)[MASK > 0].mean()
  np.testing.assert_allclose(metrics["loss/policy"], policy, rtol=1e-5)
  assert metrics["loss/added"] == 3.0 and metrics["loss/extra"] == 7.0
  np.testing.assert_allclose(loss, policy + 10.0, rtol=1e-6)


def test_on_policy_the_gradient_is_minus_the_advantage_of_the_token():
  batch, _ = rollout()
  logp = np.asarray(batch.old_logp)
  _, gradient, _ = common.loss_and_grad(IDENTITY, batch, logp)
  want = -np.asarray(batch.advantages) * MASK / MASK.sum()
  np.testing.assert_allclose(gradient, want, rtol=1e-6)


def test_the_mask_changes_the_denominator_and_the_weights_do_not():
  batch, _ = rollout(advantages=-jnp.ones(MASK.shape))
  logp = np.asarray(batch.old_logp)
  first = jnp.asarray(MASK).at[0, 1:].set(0)  # 2 of the 4 counted tokens

  def narrow(record, state, context):
    return record.replace(mask=record.mask * first), state

  masked = transform.LossTransform("masked", apply=narrow)
  weighed = transform.reweight("weighed", lambda o, c: first)
  loss = lambda method: common.loss_and_grad(method, batch, logp)[0]
  assert loss(masked) == 1.0
  assert loss(weighed) == 0.5


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30])
def test_padding_is_removed_once_at_the_boundary(junk):
  batch, _ = rollout(group=jnp.array([0, 0, -1]))
  spoil = lambda x: jnp.where(batch.mask, x, junk)
  spoilt = batch.replace(
    old_logp=spoil(batch.old_logp),
    sample_logp=spoil(batch.sample_logp),
    advantages=spoil(batch.advantages),
    reward=batch.reward.at[2].set(junk),
    score_temperature=batch.score_temperature.at[2].set(junk),
    stats={"s": spoil(batch.old_logp)},
    notes={"n": batch.reward.at[2].set(junk)},
  )
  cleaned = objective.clean(spoilt)
  for leaf in jax.tree.leaves(cleaned):
    assert np.isfinite(leaf).all()
  np.testing.assert_array_equal(cleaned.reward, [1.0, 0.0, 0.0])
  np.testing.assert_array_equal(cleaned.score_temperature, np.ones(3))


def test_a_row_without_tokens_keeps_its_reward_while_it_has_a_group():
  batch, _ = rollout(group=jnp.array([0, 0, 0]))
  np.testing.assert_array_equal(objective.clean(batch).reward, [1.0, 0.0, 0.5])


def test_loss_and_prepare_take_a_transform_as_well_as_a_chain():
  batch, logp = rollout()
  clock = Clock(0, 0, jax.random.key(0))
  one = methods.make("grpo")
  found = []
  for method in (one, transform.chain(one)):
    state = transform.chain(method).init(batch)
    ready, state = rlvr_jax.prepare(method)(batch, state, clock)
    stats = {LOGP_KEY: jnp.asarray(logp)}
    value, _ = rlvr_jax.loss(method)(stats, ready, state, clock)
    found.append(value)
  assert found[0] == found[1]


@pytest.fixture(scope="module")
def many():
  """A chain that takes minibatch, group and token statistics."""
  return transform.chain(
    methods.make("grpo"),
    methods.make("ppo_clip", high=0.28, dual=3.0),
    methods.make("clip_cov", fraction=0.1, low=0.0),
    methods.make("steer"),
    methods.make("kl_penalty", coef=0.1),
    methods.make("entropy_bonus", coef=0.01),
  )


def test_loss_and_gradient_do_not_depend_on_the_mesh(many):
  example = testing.tiny(many)
  state = many.init(example.batch)
  clock = Clock(0, 0, jax.random.key(0))

  @jax.jit
  def step(batch, params):
    whole = example._replace(batch=batch, params=params)
    outcome = testing.traceable_step(many, whole, state, clock)
    return outcome.loss, outcome.gradient

  def on(count):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:count]), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    batch = jax.device_put(example.batch, rows)
    return step(batch, jax.device_put(example.params, whole))

  loss, gradient = on(1)
  assert np.abs(gradient).max() > 1e-3
  for count in (2, 4):
    other, slope = on(count)
    assert len(slope.devices()) == count
    np.testing.assert_allclose(other, loss, rtol=1e-5)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(slope, gradient, rtol=0, atol=1e-5 * scale)
