"""Clip-Cov: which tokens lose their gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax import objective
from rlvr_jax.methods.clip_cov import clip_cov
from rlvr_jax.types import LOGP_KEY, Context

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS, LENGTH = 6, 5
CLIP = (0.2, 0.2)


def arrays(seed=0):
  dice = np.random.default_rng(seed)
  old = -dice.exponential(size=(ROWS, LENGTH)).astype(np.float32)
  logp = np.float32(old + 0.3 * dice.normal(size=old.shape))
  advantages = np.float32(dice.normal(size=(ROWS, 1)) + np.zeros(old.shape))
  lengths = dice.integers(1, LENGTH + 1, (ROWS, 1))
  return old, logp, advantages, np.arange(LENGTH) < lengths


@jax.jit
def chosen(old, logp, advantages, mask, key):
  """Which tokens are dropped, candidates, and which PPO clips."""
  rollout = common.batch(old, None, np.ones(old.shape))
  rollout = rollout.replace(mask=mask, advantages=advantages)
  now = {LOGP_KEY: logp}
  record = objective.initial(now, rollout, CLIP)
  context = Context(0, 0, key, rollout, now)
  weights = lambda m: m.apply(record, (), context)[0].weights
  some = weights(clip_cov(fraction=0.15, low=0.0, high=5.0))
  every = weights(clip_cov(fraction=1.0, low=0.0, high=5.0))
  return some == 0, every == 0, objective.is_clipped(record, None)


def test_as_many_candidates_are_dropped_as_the_fraction_says():
  for seed in range(5):
    old, logp, advantages, mask = arrays(seed)
    key = jax.random.key(seed)
    dropped, candidates, clipped = chosen(old, logp, advantages, mask, key)
    count = max(int(0.15 * mask.sum() + 1e-4), 1)
    assert dropped.sum() == min(count, candidates.sum())
    assert not (dropped & ~candidates).any()
    assert not (candidates & (clipped | ~mask)).any()


def test_each_candidate_is_dropped_equally_often():
  inputs = arrays(1)
  keys = jax.random.split(jax.random.key(3), 2000)
  over_keys = jax.vmap(chosen, in_axes=(None,) * 4 + (0,))
  dropped, candidates, _ = over_keys(*inputs, keys)
  count, among = int(dropped[0].sum()), int(candidates[0].sum())
  assert 0 < count < among
  share = np.asarray(dropped.mean(axis=0))[np.asarray(candidates[0])]
  expected = count / among
  # Four standard deviations of a mean of 2000 draws.
  error = 4 * np.sqrt(expected * (1 - expected) / 2000)
  np.testing.assert_allclose(share, expected, atol=error)


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_shifted_advantages_and_log_probs_have_the_same_candidates(a, b):
  old, logp, advantages, mask = arrays(2)
  # Far inside the clip bounds, so that only the covariance decides.
  key = jax.random.key(0)
  _, before, _ = chosen(logp, logp, advantages, mask, key)
  moved = np.float32(logp + b)
  _, after, _ = chosen(moved, moved, np.float32(advantages + a), mask, key)
  np.testing.assert_array_equal(before, after)


def test_only_dropped_tokens_lose_their_gradient():
  old, logp, advantages, mask = arrays(3)
  rollout = common.batch(old, advantages, mask)
  # The last candidates in reading order go first.
  order = lambda key, shape: jnp.arange(ROWS * LENGTH, dtype=float).reshape(
    shape
  )
  method = clip_cov(fraction=0.2, low=0.0, high=5.0, priority=order)
  plain = clip_cov(low=0.0, high=0.0)
  _, gradient, metrics = common.loss_and_grad(method, rollout, logp)
  _, expected, _ = common.loss_and_grad(plain, rollout, logp)
  dropped = np.asarray(gradient != expected)
  assert (np.asarray(gradient)[dropped] == 0).all()
  share = dropped.sum() / mask.sum()
  np.testing.assert_allclose(metrics["clip_cov/dropped_fraction"], share)
  assert dropped.sum() == int(0.2 * mask.sum() + 1e-4)


def test_equal_advantages_leave_no_candidate():
  old, logp, advantages, mask = arrays(4)
  equal = np.full_like(advantages, 0.75)  # its mean is exact
  _, candidates, _ = chosen(old, logp, equal, mask, jax.random.key(0))
  assert not candidates.any()


def test_blocks_of_rows_are_minibatches_of_their_own():
  old, logp, advantages, mask = arrays(5)
  order = lambda key, shape: jnp.zeros(shape)

  def weights(method, rows):
    rollout = common.batch(old[rows], advantages[rows], mask[rows])
    fn = jax.jit(lambda *x: edited(method, *x).weights)
    return fn(rollout, logp[rows])

  given_rows = {"fraction": 0.3, "low": 0.0, "priority": order}
  # 6 rows in blocks of 4: the second block is a short one.
  blocks = weights(clip_cov(**given_rows, scope_rows=4), slice(None))
  alone = [
    weights(clip_cov(**given_rows), rows) for rows in (slice(4), slice(4, 6))
  ]
  np.testing.assert_array_equal(blocks, np.concatenate(alone))


def test_without_the_mode_token_the_entropy_stays_higher():
  logits = jnp.log(jnp.array([0.7, 0.2, 0.1]))
  entropy = lambda z: -(jax.nn.softmax(z) * jax.nn.log_softmax(z)).sum()
  tokens = jnp.array([[0], [1], [2], [1]])
  rollout = common.batch(
    jax.nn.log_softmax(logits)[tokens],
    np.array([[1.0], [-1.0], [-1.0], [-0.5]]),
    np.ones((4, 1)),
  )

  def entropy_after(method):
    loss = lambda z: common.loss_and_grad(
      method, rollout, jax.nn.log_softmax(logits)[tokens]
    )[1]
    by_logp = loss(logits)
    pull = jax.vjp(lambda z: jax.nn.log_softmax(z)[tokens], logits)[1]
    return entropy(logits - 0.3 * pull(by_logp)[0])

  # On the rollout itself, so the ratio is 1 and the method acts all the same.
  dropping = clip_cov(fraction=0.25, low=0.5, high=5.0)
  assert entropy_after(dropping) > entropy_after(clip_cov(low=0.0, high=0.0))


@pytest.mark.parametrize(
  "wrong", [{"fraction": 3.0}, {"low": 2.0, "high": 1.0}, {"scope_rows": 0}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  name = list(wrong)[-1]
  with pytest.raises(ValueError, match=rf"clip_cov\.{name} = "):
    clip_cov(**wrong)
