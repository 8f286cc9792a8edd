"""Token statistics in plain jnp: the definition other forms are held to."""

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, Moments


def moments(logits: Array, targets: Array) -> Moments:
  """Every moment of the next-token distribution the library knows.

  Shifted by the largest logit, d = z - max <= 0, all sums are of terms of one
  sign, so entropies of near-deterministic rows keep their relative accuracy.
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
  return Moments(
    logp=chosen - log_s0,
    log_z=top[:, 0] + log_s0,
    entropy=log_s0 - mean,
    varentropy=jnp.maximum(s2 / s0 - mean * mean, 0.0),
    sum_p2=q0 / (s0 * s0),
    cov_p_logp=jnp.maximum((q1 - mean * q0) / (s0 * s0), 0.0),
    max_prob=1.0 / s0,
    vocabulary=logits.shape[-1],
  )
