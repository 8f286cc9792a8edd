"""Statistics of written logits: the definitions other forms are held to."""

import jax
import jax.numpy as jnp

from rlvr_jax.kernels.logits import Keep
from rlvr_jax.types import Array, Moments


def moments(logits: Array, targets: Array) -> Moments:
  """Every moment of the next-token distribution the library knows.

  Shifted by the largest logit, d = z - max <= 0, all sums are of terms of one
  sign, so nothing cancels: entropies are good to about 1e-6 nats also where the
  policy is sure.
  Logits of -inf or -1e30 (padding columns) have probability 0 and add 0.

  Args:
    logits: f32[N, V] already divided by the temperature.
    targets: i32[N] the token whose log-prob is wanted.

  Returns:
    Moments, f32[N] each, differentiable with respect to the logits.
  """
  top = jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
  shifted = logits - top
  weight = jnp.exp(shifted)
  d = jnp.where(weight > 0, shifted, 0.0)
  s0, s1, s2 = ((weight * x).sum(-1) for x in (jnp.ones_like(d), d, d * d))
  q0, q1 = ((weight * weight * x).sum(-1) for x in (jnp.ones_like(d), d))
  log_s0, mean = jnp.log(s0), s1 / s0
  # A comparison instead of a gather: its gradient needs no scatter.
  column = jnp.arange(logits.shape[-1]) == targets[:, None]
  chosen = jnp.where(column, shifted, 0.0).sum(axis=-1)
  other = jnp.where(column, 0.0, weight)
  return Moments(
    logp=chosen - log_s0,
    log_z=top[:, 0] + log_s0,
    entropy=log_s0 - mean,
    varentropy=jnp.maximum(s2 / s0 - mean * mean, 0.0),
    sum_p2=q0 / (s0 * s0),
    cov_p_logp=jnp.maximum((q1 - mean * q0) / (s0 * s0), 0.0),
    max_prob=1.0 / s0,
    # Without the target, so that nothing cancels where the policy is sure.
    energy=(other.sum(-1) ** 2 + (other * other).sum(-1)) / (s0 * s0),
    vocabulary=logits.shape[-1],
  )


def least_logit(logits: Array, keep: Keep) -> Array:
  """The least logit of a nucleus, by sorting.

  Args:
    logits: f32[N, V] already divided by the temperature.
    keep: what belongs to it; the likeliest token always does.

  Returns:
    f32[N].
  """
  top, _ = jax.lax.top_k(logits, min(keep.count, logits.shape[-1]))
  log_z = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
  p = jnp.exp(top - log_z)
  mass = jnp.cumsum(p, axis=-1) - (p if keep.inclusive else 0.0)
  kept = (mass < keep.mass) & (jnp.arange(top.shape[-1]) > 0)
  return jnp.where(kept, top, top[:, :1]).min(axis=-1)


def divergence(first: Array, second: Array) -> Array:
  """KL(first || second) of logits f32[N, V], f32[N] nats."""
  log_p, log_q = (jax.nn.log_softmax(z, axis=-1) for z in (first, second))
  p = jnp.exp(log_p)
  return jnp.where(p > 0, p * (log_p - log_q), 0.0).sum(axis=-1)
