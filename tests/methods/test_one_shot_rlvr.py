"""One-shot RLVR: what is left of the loss when a coefficient is 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import stats
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.one_shot_rlvr import ENTROPY, REF_LOGP, one_shot_rlvr
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

TOKENS = jnp.array([[0, 1, 2], [3, 0, 1]])
MASK = np.array([[1, 1, 1], [1, 1, 0]])


def gradient(table, method, reward):
  """Slope of the loss by logits f32[T, V], one distribution per position."""
  method = rlvr_jax.chain(grpo(), method)

  def numbers(table):
    logp = jax.nn.log_softmax(table)
    entropy = -(jnp.exp(logp) * logp).sum(axis=-1)
    taken = jnp.take_along_axis(logp[None], TOKENS[..., None], axis=2)[..., 0]
    return taken, jnp.broadcast_to(entropy, TOKENS.shape)

  old = np.asarray(numbers(table)[0])
  rollout = common.batch(old, None, MASK, reward=reward, group=[0, 0])
  clock = Clock(0, 0, jax.random.key(0))
  state = method.init(rollout)
  rollout, state = rlvr_jax.prepare(method)(rollout, state, clock)

  def loss(table):
    logp, entropy = numbers(table)
    now = {stats.LOGP.key: logp, ENTROPY.key: entropy}
    return rlvr_jax.loss(method)(now, rollout, state, clock)[0]

  return jax.grad(loss)(table)


def mean_entropy(table):
  logp = jax.nn.log_softmax(table)
  entropy = -(jnp.exp(logp) * logp).sum(axis=-1)
  return (entropy * MASK.sum(axis=0)).sum() / MASK.sum()


@pytest.mark.parametrize(
  ("policy_coef", "reward"), [(0.0, [1.0, 0.0]), (1.0, [1.0, 1.0])]
)
def test_alone_or_when_all_are_right_the_entropy_term_is_what_acts(
  policy_coef, reward
):
  table = jax.random.normal(jax.random.key(0), (3, 4))
  method = one_shot_rlvr(policy_coef, entropy_coef=0.5, kl_coef=0.0)
  found = gradient(table, method, reward)
  want = -0.5 * jax.grad(mean_entropy)(table)
  np.testing.assert_allclose(found, want, atol=1e-6)


def test_training_on_the_entropy_alone_raises_it_step_by_step():
  table = jax.random.normal(jax.random.key(0), (3, 4))
  method = one_shot_rlvr(0.0, entropy_coef=1.0, kl_coef=0.0)
  found = [float(mean_entropy(table))]
  for _ in range(5):
    table = table - 0.5 * gradient(table, method, [1.0, 0.0])
    found.append(float(mean_entropy(table)))
  assert found == sorted(found) and found[-1] > found[0] + 0.05


def test_the_divergence_is_the_mean_of_k3_and_needs_a_reference_if_it_counts():
  ref = np.float32([[-1.0, -2.0]])
  flat = np.float32([[-1.5, -1.5]])
  rollout = common.batch(flat, None, np.ones((1, 2)), stats={REF_LOGP.key: ref})
  _, _, metrics = common.loss_and_grad(
    one_shot_rlvr(entropy_coef=0.0, kl_coef=2.0),
    rollout,
    flat,
    stats={ENTROPY.key: 0 * flat},
  )
  k3 = np.mean(np.exp([0.5, -0.5]) - 1 - np.array([0.5, -0.5]))
  np.testing.assert_allclose(metrics["one_shot_rlvr/kl"], k3, rtol=1e-5)
  np.testing.assert_allclose(metrics["loss/added"], 2 * k3, rtol=1e-5)
  assert one_shot_rlvr(kl_coef=0.0).needs == (ENTROPY,)


@pytest.mark.parametrize("name", ["policy_coef", "entropy_coef", "kl_coef"])
def test_a_parameter_out_of_range_is_named(name):
  with pytest.raises(ValueError, match=rf"one_shot_rlvr\.{name} = -1.0"):
    one_shot_rlvr(**{name: -1.0})
