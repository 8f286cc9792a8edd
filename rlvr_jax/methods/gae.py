"""GAE: PPO's advantages, with a linear critic on the policy's own states."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Features
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need


class GaeState(NamedTuple):
  """Sums over the tokens of earlier steps, x being features and a one."""

  gram: Array  # f32[K+1, K+1] of x x'
  moment: Array  # f32[K+1] of x times the return
  count: Array  # f32[] tokens


def gae(
  gamma: float = 1.0,
  decay: float = 1.0,
  features: int = 32,
  ridge: float = 1e-3,
  memory: float = 0.9,
) -> LossTransform:
  """Sets advantages per token from returns and a value function.

  The reward R_i sits on the last counted token of response i. With t' the
  counted token after t, and 0 behind the last one,
    d_t = r_t + gamma V_t' - V_t,   A_t = d_t + gamma decay A_t',
  whitened over the counted tokens of the rollout. V is linear in a random
  projection of the state that predicts the token: ridge regression of the
  discounted returns of earlier steps, the older ones fading. In the first step
  V = 0.

  Edits:   batch.advantages (own)
  Needs:   features of the policy's states at rollout
  State:   gram f32[K+1, K+1], moment f32[K+1] and count f32[] with
           K = features, set at prepare
  Scope:   step; the critic is of the run
  Neutral: none; the first step with decay = 1 is that of reinforce_plus_plus

  Args:
    gamma: discount per counted token, in [0, 1]; 1.
    decay: lambda, in [0, 1]; 1 leans on returns alone, 0 on the critic.
    features: size K of the projection, >= 1. The rollout keeps K numbers per
      token.
    ridge: added to the mean square of every feature, > 0.
    memory: what is left of the statistics of earlier steps after each, in
      [0, 1].

  Returns:
    A LossTransform named "gae".

  Raises:
    ValueError: a parameter out of its range.

  Metrics:
    gae/explained_variance: share of the variance of the returns that V
      explains; below 0 it is worse than a constant.
    gae/value: mean of V.

  Source:
    Schulman et al., High-dimensional continuous control using generalized
    advantage estimation, arXiv 1506.02438; PPO, arXiv 1707.06347. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_gae_advantage_return.
    Differs from that code: the critic there is a second network trained by
    gradient descent on the clipped loss of its values; the linear one costs no
    pass and no training. Advantages are 0 where nothing counts.
  """
  for name, value in (("gamma", gamma), ("decay", decay), ("memory", memory)):
    if not 0 <= value <= 1:
      raise ValueError(f"gae.{name} = {value} must lie in [0, 1].")
  if not features >= 1:
    raise ValueError(f"gae.features = {features} must be >= 1.")
  if not ridge > 0:
    raise ValueError(f"gae.ridge = {ridge} must be > 0.")
  need = Need(Features(features), when="rollout")

  def init(example):
    del example
    size = features + 1
    return GaeState(
      jnp.zeros((size, size), jnp.float32),
      jnp.zeros(size, jnp.float32),
      jnp.zeros((), jnp.float32),
    )

  def regressed(state):
    """f32[K+1]: weights of the critic; 0 before anything was seen."""
    count = jnp.maximum(state.count, 1)
    gram = state.gram / count + ridge * jnp.eye(features + 1)
    return jax.scipy.linalg.solve(gram, state.moment / count, assume_a="pos")

  def learn(state, inputs, returns, mask):
    x = jnp.where(mask[..., None], inputs, 0.0)
    total = lambda spec, *arrays: jnp.einsum(spec, *arrays, precision="highest")
    return GaeState(
      memory * state.gram + total("btk,btl->kl", x, x),
      memory * state.moment + total("btk,bt->k", x, returns),
      memory * state.count + mask.sum(),
    )

  def explained(returns, values, mask):
    variance = reduce.masked_var(returns, mask)
    left = reduce.masked_var(returns - values, mask)
    share = 1 - left / jnp.where(variance > 0, variance, 1.0)
    return jnp.where(variance > 0, share, 0.0)

  def prepare(batch, state, context):
    mask = batch.mask
    own = mask & (batch.group >= 0)[:, None]
    main = own & (batch.source == 0)[:, None]
    known = context.stat(need)
    inputs = jnp.concatenate([known, jnp.ones_like(known[..., :1])], axis=-1)
    values = jnp.matmul(inputs, regressed(state), precision="highest")
    values = jnp.where(mask, values, 0.0)
    last = reduce.last_token(mask)
    rewards = jnp.where(last, batch.reward[:, None], 0.0)
    advantages = reduce.gae(rewards, values, mask, gamma, decay)
    advantages = reduce.whiten(advantages, own)
    returns = reduce.returns_to_go(rewards, mask, gamma)
    metrics = {
      "gae/explained_variance": explained(returns, values, main),
      "gae/value": reduce.masked_mean(values, main),
    }
    return batch.replace(
      advantages=jnp.where(own, advantages, batch.advantages),
      metrics=batch.metrics | metrics,
    ), learn(state, inputs, returns, main)

  return LossTransform(
    "gae", init, prepare=prepare, needs=(need,), owns=("advantages",)
  )
