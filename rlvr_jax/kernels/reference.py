"""Statistics of written logits: the definitions other forms are held to."""

import jax
import jax.numpy as jnp

from rlvr_jax.kernels.logits import Keep
from rlvr_jax.types import Array, Moments

# Columns whose terms are added up before those of others are.
BLOCK = 512


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
  s0, s1, s2 = (_sum(weight * x) for x in (1.0, d, d * d))
  q0, q1 = (_sum(weight * weight * x) for x in (1.0, d))
  log_s0, mean = jnp.log(s0), s1 / s0
  chosen = _chosen(logits, targets) - top[:, 0]
  column = jnp.arange(logits.shape[-1]) == targets[:, None]
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


def blocks(x: Array) -> Array:
  """f[N, M, 512] of f[N, V], zeros behind; M is 1 if V is no larger."""
  size = x.shape[-1]
  count = -(-size // BLOCK)
  if count == 1:
    return x[:, None]
  x = jnp.pad(x, [(0, 0), (0, count * BLOCK - size)])
  return x.reshape(len(x), count, BLOCK)


def _sum(x: Array) -> Array:
  """f32[N] of f32[N, V]: by blocks it is more exact, and faster on CPU."""
  return blocks(x).sum(axis=-1).sum(axis=-1)


@jax.custom_jvp
def _chosen(logits: Array, targets: Array) -> Array:
  """f32[N]: each row's logit of its target."""
  return jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]


@_chosen.defjvp
def _chosen_jvp(primals, tangents):
  (logits, targets), (change, _) = primals, tangents
  # A comparison instead of a gather: turned round, that would be a scatter.
  column = jnp.arange(logits.shape[-1]) == targets[:, None]
  return _chosen(logits, targets), jnp.where(column, change, 0.0).sum(axis=-1)


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
