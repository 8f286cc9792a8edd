"""What is measured on a rollout, before any method edits it: f32[] each.

Only the main draw counts, so the figures mean the same with every method.
"""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array, TokenBatch


def group_outcomes(reward: Array, group: Array) -> dict[str, Array]:
  """Shares of rows whose group has equal, only right or only wrong rewards."""
  inside = group >= 0
  equal = reduce.group_std(reward, group, ddof=0) <= 1e-8
  mean = reduce.group_mean(reward, group)
  share = lambda x: reduce.masked_mean(x.astype(jnp.float32), inside)
  return {
    "reward/zero_std_fraction": share(equal),
    "reward/all_right_fraction": share(equal & (mean >= 1)),
    "reward/all_wrong_fraction": share(equal & (mean <= 0)),
  }


def rollout(batch: TokenBatch, entropy: Array, eos: int) -> dict[str, Array]:
  """Reward, entropy and length of the main draw.

  Args:
    batch: as sampled and graded.
    entropy: f32[B, T] nats, of the policy at the scoring temperature.
    eos: the token that ends a response.

  Returns:
    f32[] by metric name. Entropies are means over counted tokens.
  """
  main = batch.source == 0
  known = main & (batch.group >= 0)
  token = batch.mask & known[:, None]
  length = reduce.row_length(batch.mask)
  ended = (batch.mask & (batch.response == eos)).any(axis=1)
  mean = lambda x, m: reduce.masked_mean(x.astype(jnp.float32), m)
  std = jnp.sqrt(reduce.masked_var(batch.reward, known, ddof=1))
  return {
    "reward/mean": mean(batch.reward, known),
    "reward/std": std,
    "reward/unknown_fraction": mean(~known, main),
    **group_outcomes(batch.reward, jnp.where(main, batch.group, -1)),
    "policy/entropy": mean(entropy, token),
    "policy/sampled_nll": mean(-batch.old_logp, token),
    "rollout/length_mean": mean(length, known),
    "rollout/length_max": reduce.masked_max(length, known),
    "rollout/truncated_fraction": mean(~ended, known),
    "rollout/tokens": batch.mask.sum().astype(jnp.float32),
  }


def mismatch(logp: Array, batch: TokenBatch) -> dict[str, Array]:
  """How far the trainer's log-probs are from the sampler's, same parameters.

  Means something only on the first update after a rollout. k3 is the
  estimator exp(d) - d - 1 of their divergence.
  """
  d = reduce.clamp(jnp.where(batch.mask, logp - batch.old_logp, 0), -20.0, 20.0)
  return {
    "mismatch/max": reduce.masked_max(jnp.abs(d), batch.mask),
    "mismatch/mean": reduce.masked_mean(jnp.abs(d), batch.mask),
    "mismatch/k3": reduce.masked_mean(jnp.expm1(d) - d, batch.mask),
  }
