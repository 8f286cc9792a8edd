"""GAE: what the critic learns and what the advantages make of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import methods, reduce
from rlvr_jax.methods.gae import gae
from rlvr_jax.stats import Features
from rlvr_jax.types import Clock, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

SIZE = 3
MASK = np.arange(5) < np.array([5, 3, 1, 4, 2, 0])[:, None]
REWARD = np.array([1.0, 0.0, 1.0, 0.0, 2.0, 1.0])
FEATURES = np.float32(np.random.default_rng(0).normal(size=(6, 5, SIZE)))


def rollout(reward=REWARD, features=FEATURES):
  need = Need(Features(SIZE), when="rollout")
  return common.batch(
    np.zeros(MASK.shape),
    None,
    MASK,
    reward=reward,
    group=np.arange(6) // 2,
    stats={need.key: features},
  )


def steps(method, *rollouts):
  """The prepared rollouts, one after the other, and the last state."""
  method = rlvr_jax.chain(method)
  state = method.init(rollouts[0])
  prepare = jax.jit(rlvr_jax.prepare(method))
  found = []
  for number, batch in enumerate(rollouts):
    clock = Clock(number, 0, jax.random.key(0))
    batch, state = prepare(batch, state, clock)
    found.append(batch)
  return found, state["gae"]


def test_the_first_step_has_no_values_so_it_whitens_returns():
  (batch,), _ = steps(gae(0.9, features=SIZE), rollout())
  plain = methods.make("reinforce_plus_plus", gamma=0.9)
  want = common.prepared(plain, rollout()).advantages
  np.testing.assert_allclose(batch.advantages, want, rtol=1e-5, atol=1e-6)
  assert batch.metrics["gae/value"] == 0


def test_the_second_step_has_the_values_of_a_ridge_regression():
  method = gae(0.9, 0.8, features=SIZE, ridge=0.01)
  (_, batch), _ = steps(method, rollout(), rollout())
  last = np.asarray(reduce.last_token(jnp.asarray(MASK)))
  rewards = last * REWARD[:, None]
  returns = np.asarray(reduce.returns_to_go(rewards, jnp.asarray(MASK), 0.9))
  ones = np.ones((*MASK.shape, 1))
  inputs = np.concatenate([FEATURES, ones], axis=-1, dtype=np.float64)
  x, y = inputs[MASK], returns[MASK]
  gram = x.T @ x / len(y) + 0.01 * np.eye(SIZE + 1)
  values = inputs @ np.linalg.solve(gram, x.T @ y / len(y))
  raw = reduce.gae(rewards, np.float32(values), MASK, 0.9, 0.8)
  want = reduce.whiten(raw, MASK)
  np.testing.assert_allclose(batch.advantages, want, rtol=1e-4, atol=1e-5)
  left = (y - values[MASK]).var() / y.var()
  found = batch.metrics["gae/explained_variance"]
  np.testing.assert_allclose(found, 1 - left, rtol=1e-4)
  np.testing.assert_allclose(
    batch.metrics["gae/value"], values[MASK].mean(), rtol=1e-4
  )


def test_values_that_explain_all_returns_leave_no_advantage():
  # The reward of a row stands in its features.
  told = np.broadcast_to(REWARD[:, None, None], (6, 5, SIZE))
  batch = rollout(features=np.float32(told))
  (first, second), _ = steps(gae(features=SIZE, ridge=1e-6), batch, batch)
  assert first.metrics["gae/explained_variance"] == 0
  assert second.metrics["gae/explained_variance"] > 0.999
  mean = np.broadcast_to(REWARD[:, None], MASK.shape)[MASK].mean()
  # The ridge and float32 normal equations leave a little.
  np.testing.assert_allclose(second.metrics["gae/value"], mean, rtol=1e-4)


def test_old_steps_fade_from_the_statistics():
  _, once = steps(gae(features=SIZE, memory=0.5), rollout())
  _, twice = steps(gae(features=SIZE, memory=0.5), rollout(), rollout())
  _, none = steps(gae(features=SIZE, memory=0.0), rollout(), rollout())
  assert once.count == MASK.sum()
  for x, y, z in zip(once, twice, none):
    np.testing.assert_allclose(1.5 * x, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(x, z)


def test_rows_without_a_group_teach_nothing_and_keep_their_advantages():
  batch = rollout()
  lone = batch.replace(
    group=batch.group.at[0].set(-1),
    advantages=jnp.full(MASK.shape, 7.0),
  )
  (found,), state = steps(gae(features=SIZE), lone)
  np.testing.assert_array_equal(found.advantages[0], np.full(5, 7.0))
  assert state.count == MASK[1:].sum()
  np.testing.assert_allclose(found.advantages[1:].sum(), 0, atol=1e-5)


@pytest.mark.parametrize(
  "wrong",
  [
    {"gamma": 1.5},
    {"decay": -0.1},
    {"memory": 2.0},
    {"features": 0},
    {"ridge": 0.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"gae\.{list(wrong)[0]} = "):
    gae(**wrong)
