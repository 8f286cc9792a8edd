"""What is measured on a rollout, before any method edits it: f32[] each.

Only the main draw counts, so the figures mean the same with every method.
"""

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce, stats
from rlvr_jax.analysis import entropy_covariance
from rlvr_jax.sampling import sampler
from rlvr_jax.training import ragged
from rlvr_jax.types import Array, TokenBatch


def group_outcomes(reward: Array, group: Array) -> dict[str, Array]:
  """Shares of rows whose group has equal, only right or only wrong rewards.

  NaN where rewards are.
  """
  inside = group >= 0
  equal = reduce.group_std(reward, group, ddof=0) <= 1e-8
  mean = reduce.group_mean(reward, group)
  share = lambda x: reduce.masked_mean(jnp.where(known, x, jnp.nan), inside)
  known = ~jnp.isnan(mean)
  return {
    "reward/zero_std_fraction": share(equal),
    "reward/all_right_fraction": share(equal & (mean >= 1)),
    "reward/all_wrong_fraction": share(equal & (mean <= 0)),
  }


def rollout(
  batch: TokenBatch, entropy: Array, ends: sampler.Ends
) -> dict[str, Array]:
  """Reward, entropy and length of the main draw.

  Args:
    batch: as sampled and graded.
    entropy: f32[B, T] nats, of the policy at the scoring temperature.
    ends: the tokens that end a response.

  Returns:
    f32[] by metric name. Entropies are means over counted tokens.
  """
  main = batch.source == 0
  known = main & (batch.group >= 0)
  token = batch.mask & known[:, None]
  length = reduce.row_length(batch.mask)
  prompt = reduce.row_length(batch.prompt_mask)
  ended = (batch.mask & ends.stops_at(batch.response)).any(axis=1)
  mean = lambda x, m: reduce.masked_mean(x.astype(jnp.float32), m)
  std = jnp.sqrt(reduce.masked_var(batch.reward, known, ddof=1))
  return {
    "reward/mean": mean(batch.reward, known),
    "reward/std": std,
    "reward/max": reduce.masked_max(batch.reward, known),
    "reward/min": reduce.masked_min(batch.reward, known),
    "reward/unknown_fraction": mean(~known, main),
    **group_outcomes(batch.reward, jnp.where(main, batch.group, -1)),
    "policy/entropy": mean(entropy, token),
    "policy/sampled_nll": mean(-batch.old_logp, token),
    "rollout/length_mean": mean(length, known),
    "rollout/length_max": reduce.masked_max(length, known),
    "rollout/length_min": reduce.masked_min(length, known),
    "rollout/truncated_fraction": mean(~ended, known),
    "rollout/prompt_length_mean": mean(prompt, known),
    "rollout/prompt_length_max": reduce.masked_max(prompt, known),
    "rollout/prompt_length_min": reduce.masked_min(prompt, known),
    "rollout/tokens": tokens(batch).astype(jnp.float32),
  }


def tokens(batch: TokenBatch) -> Array:
  """i32[]: counted tokens, those that branches copied left out."""
  own = batch.mask
  if batch.copied is not None:
    own &= jnp.arange(own.shape[1]) >= batch.copied[:, None]
  return own.sum()


def trees(batch: TokenBatch) -> dict[str, Array]:
  """What rows that branch have cost, and what it would have been without.

  Args:
    batch: as sampled: rows of unknown reward have cost as much.

  Returns:
    f32[] by metric name; {} for rollouts without branches. A row that branches
    off before the first token is a response begun anew, a root.
  """
  if batch.parent is None:
    return {}
  place = jnp.where(batch.parent < 0, len(batch.parent), batch.parent)
  inside = (batch.parent >= 0).at[place].set(True, mode="drop")
  length = ragged.lengths(batch.mask)
  copied = jnp.where(inside, batch.copied, 0).sum()
  all_of_them = jnp.where(inside, length, 0).sum()
  found = {
    "roots": (inside & (batch.copied == 0)).sum(),
    "branches": (inside & (batch.copied > 0)).sum(),
    "sampled_tokens": all_of_them - copied,
    "copied_tokens": copied,
    "sampled_fraction": (all_of_them - copied) / jnp.maximum(all_of_them, 1),
  }
  return {f"rollout/{k}": x.astype(jnp.float32) for k, x in found.items()}


def covariance(batch: TokenBatch) -> dict[str, Array]:
  """What drives the entropy down: log-prob going along with advantage.

  Of the main draw, without responses that no longer count. `token` pools the
  counted tokens; `prompt` takes a response with its mean log-prob l as one
  action, and is the mean over prompts of the covariance of l and exp(l) A over
  their responses; `prompt_hard`, `_middle` and `_easy` are means over prompts
  of one class of accuracy, NaN where there is none.

  Args:
    batch: with its advantages.

  Returns:
    f32[] by metric name, advantage times nats.

  Source:
    Cui et al., arXiv 2505.22617, equations 8 and 9.
  """
  counted = (batch.source == 0) & batch.mask.any(axis=1)
  group = jnp.where(counted, batch.group, -1)
  token = batch.mask & (group >= 0)[:, None]
  logp = reduce.row_mean(batch.old_logp, batch.mask)
  gain = jnp.exp(logp) * reduce.row_mean(batch.advantages, batch.mask)
  apart = lambda x: x - reduce.group_mean(x, group)
  one_each = jnp.maximum(reduce.group_count(group), 1)
  of_row = jnp.where(group >= 0, apart(logp) * apart(gain) / one_each, 0)
  pooled = reduce.centred_product(batch.old_logp, batch.advantages, token)
  solved = reduce.group_mean(batch.reward, group)
  return {
    "covariance/token": reduce.masked_mean(pooled, token),
    "covariance/prompt": of_row.sum()
    / jnp.maximum(reduce.group_total(group), 1),
    **{
      f"covariance/prompt_{name}": _mean_of_groups(of_row, group, inside)
      for name, inside in entropy_covariance.classes(solved).items()
    },
  }


def _mean_of_groups(of_row: Array, group: Array, inside: Array) -> Array:
  """f32[]: sum over rows of some groups per group; NaN without groups."""
  count = reduce.group_total(jnp.where(inside, group, -1))
  total = jnp.where(inside, of_row, 0).sum()
  return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def mismatch(logp: Array, sampled: Array, mask: Array) -> dict[str, Array]:
  """How far the trainer's log-probs are from the sampler's, same parameters.

  Means something only on the first update after a rollout. All are 0 where
  both agree, but for the correlation and the perplexities.

  Args:
    logp: f32[B, T] nats, the trainer's; d is their excess over the sampler's.
    sampled: f32[B, T] nats, the sampler's, at the same temperature.
    mask: bool[B, T] counted tokens.

  Returns:
    f32[] by metric name: `max` and `mean` of |d|; `kl` and `k3`, the estimators
    -d and exp(d) - d - 1 of KL(sampler || trainer); `chi2`, the estimator
    exp(2d) - 1 of the chi-square divergence; the distance of the tokens'
    probabilities and their correlation; perplexities.
  """
  d = reduce.clamp(jnp.where(mask, logp - sampled, 0), -20.0, 20.0)
  mean = lambda x: reduce.masked_mean(x, mask)
  return {
    "mismatch/max": reduce.masked_max(jnp.abs(d), mask),
    "mismatch/mean": mean(jnp.abs(d)),
    "mismatch/kl": mean(-d),
    "mismatch/k3": mean(jnp.expm1(d) - d),
    "mismatch/chi2": mean(jnp.expm1(2 * d)),
    **_mismatch_of_probabilities(logp, sampled, mask),
    **_mismatch_of_responses(logp, sampled, d, mask),
  }


def with_mismatch(loss_fn: objective.LossFn) -> objective.LossFn:
  """Adds `mismatch` to the metrics of a loss."""

  def wrapped(found, batch, state, clock):
    total, (state, metrics) = loss_fn(found, batch, state, clock)
    logp = jax.lax.stop_gradient(found[stats.LOGP.key])
    return total, (
      state,
      metrics | mismatch(logp, batch.old_logp, batch.mask),
    )

  return wrapped


def _mismatch_of_probabilities(logp, sampled, mask):
  """|p - q| of the sampled tokens, and Pearson's correlation of p and q.

  The correlation is 0 where p or q does not vary.
  """
  p, q = jnp.exp(logp), jnp.exp(sampled)
  apart = jnp.abs(p - q)
  var = lambda x, ddof=0: reduce.masked_var(x, mask, ddof)
  both = reduce.masked_mean(reduce.centred_product(p, q, mask), mask)
  scale = jnp.sqrt(var(p)) * jnp.sqrt(var(q))
  return {
    "mismatch/probability_mean": reduce.masked_mean(apart, mask),
    "mismatch/probability_max": reduce.masked_max(apart, mask),
    "mismatch/probability_std": jnp.sqrt(var(apart, ddof=1)),
    "mismatch/probability_correlation": jnp.where(
      scale > 0, both / jnp.where(scale > 0, scale, 1), 0
    ),
  }


def _mismatch_of_responses(logp, sampled, d, mask):
  """Means over responses, each of the same weight whatever its length."""
  length = reduce.row_length(mask)
  total = lambda x: jnp.where(mask, x, 0).sum(axis=1)
  per_token = lambda x: total(x) / jnp.maximum(length, 1)
  mean = lambda x: reduce.masked_mean(x, length > 0)
  return {
    "mismatch/trainer_perplexity": mean(jnp.exp(-per_token(logp))),
    "mismatch/sampler_perplexity": mean(jnp.exp(-per_token(sampled))),
    "mismatch/perplexity_ratio": mean(jnp.exp(-per_token(d))),
  }
