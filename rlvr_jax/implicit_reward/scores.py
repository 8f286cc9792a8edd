"""From the log-ratios of tokens to what they earn in PRIME's advantage."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


def token_scores(
  log_ratio: Array,
  mask: Array,
  *,
  scale: float = 1.0,
  smoothing: float = 0.0,
  outcome: Array | None = None,
  exclude_last: bool = False,
) -> Array:
  """The score of each token: its log-ratio, as the released codes vary it.

  Args:
    log_ratio: f32[B, T] log pi_phi - log pi_ref, nats.
    mask: bool[B, T] counted tokens.
    scale: multiplies the log-ratios x.
    smoothing: lambda in [0, 1] of sum_l lambda^l x_{t+l}; 0 for x itself.
    outcome: f32[B] if given, what the x of a response shall add up to: its
      last one is replaced by what is missing.
    exclude_last: the last counted token scores 0.

  Returns:
    f32[B, T]; 0 where nothing counts.
  """
  last = reduce.last_token(mask)
  x = jnp.where(mask, scale * log_ratio, 0.0)
  if outcome is not None:
    before = jnp.where(last, 0.0, x).sum(axis=1)
    x = jnp.where(last, (outcome - before)[:, None], x)
  x = reduce.returns_to_go(x, mask, smoothing) if smoothing else x
  return jnp.where(last, 0.0, x) if exclude_last else x


def whole_scores(log_ratio: Array, mask: Array, scale: float = 1.0) -> Array:
  """f32[B, T]: the sum of a response, all of it at its last token."""
  total = jnp.where(mask, scale * log_ratio, 0.0).sum(axis=1, keepdims=True)
  return jnp.where(reduce.last_token(mask), total, 0.0)


def normalized(
  score: Array, mask: Array, epsilon: float = 1e-6
) -> tuple[Array, Array]:
  """Scores over the largest of all returns, and that divisor.

  Args:
    score: f32[B, T].
    mask: bool[B, T] counted tokens.
    epsilon: added to the divisor.

  Returns:
    f32[B, T] and f32[], max |sum_{s >= t} score_s| + epsilon over all tokens
    of all responses.
  """
  returns = reduce.returns_to_go(score, mask)
  divisor = reduce.masked_max(jnp.abs(returns), mask) + epsilon
  return score / divisor, divisor


def process_term(score: Array, mask: Array, group: Array) -> Array:
  """PRIME's process reward: the score above the mean scores of its group.

  (n score_t - sum over the group of the mean score) / (n - 1). It is not quite
  the score less that of the others, which the outcome term is.

  Args:
    score: f32[B, T].
    mask: bool[B, T] counted tokens.
    group: i32[B] in [0, B); -1 joins no group.

  Returns:
    f32[B, T]; the score itself in a group of one, 0 where nothing counts.
  """
  count = reduce.group_count(group)
  means = reduce.group_sum(reduce.row_mean(score, mask), group)
  above = count[:, None] * score - means[:, None]
  above = above / jnp.maximum(count - 1, 1)[:, None]
  term = jnp.where((count > 1)[:, None], above, score)
  return jnp.where(mask, term, 0.0)


def outcome_term(reward: Array, mask: Array, group: Array) -> Array:
  """The reward above the mean of the others, at the last counted token.

  Args:
    reward: f32[B].
    mask: bool[B, T] counted tokens.
    group: i32[B] in [0, B); -1 joins no group.

  Returns:
    f32[B, T]; the reward itself in a group of one.
  """
  count = reduce.group_count(group)
  above = count * (reward - reduce.group_mean(reward, group))
  above = above / jnp.maximum(count - 1, 1)
  term = jnp.where(count > 1, above, reward)
  return jnp.where(reduce.last_token(mask), term[:, None], 0.0)


def pair_accuracy(score: Array, reward: Array, group: Array) -> Array:
  """How often the better of two responses has the higher score.

  Args:
    score: f32[B] of whole responses.
    reward: f32[B].
    group: i32[B] in [0, B); -1 joins no group.

  Returns:
    f32[], mean over groups: each pair weighs by the difference of its rewards,
    equal scores are half right, and a group of equal rewards has 0.5.
  """
  pairs = (group[:, None] == group) & (group >= 0)[:, None]
  gap = reward[:, None] - reward
  weight = jnp.where(pairs, jnp.abs(gap), 0.0)
  agree = 0.5 + 0.5 * jnp.sign(gap) * jnp.sign(score[:, None] - score)
  right = reduce.group_sum((weight * agree).sum(axis=1), group)
  total = reduce.group_sum(weight.sum(axis=1), group)
  share = jnp.where(total > 0, right / jnp.where(total > 0, total, 1.0), 0.5)
  each = share / jnp.maximum(reduce.group_count(group), 1)
  each = jnp.where(group >= 0, each, 0.0)
  return each.sum() / jnp.maximum(reduce.group_total(group), 1)


def sign_accuracy(score: Array, reward: Array, counted: Array) -> Array:
  """f32[]: share of responses whose score has the sign of 2 reward - 1.

  Args:
    score: f32[B] of whole responses.
    reward: f32[B] in [0, 1].
    counted: bool[B] which responses count.
  """
  right = jnp.sign(score) == jnp.sign(2 * reward - 1)
  return reduce.masked_mean(right.astype(jnp.float32), counted)
