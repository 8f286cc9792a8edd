"""Unlikeliness reward: right answers that are unlikely are worth more."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def unlikeliness(
  discount: float = 0.25,
  skip_all_correct: bool = False,
  threshold: float = 0.5,
) -> LossTransform:
  """Discounts the reward of a response by its rank in likelihood.

  R' = R (1 - discount rank / G) with rank 0 for the least likely of the G
  responses of a group, G - 1 for the most likely, by the mean log-prob of
  their tokens under the sampling policy. Wrong answers of reward 0 stay at 0.
  Stand before the advantage estimator.

  Edits:   batch.reward (×)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: discount = 0

  Responses of equal mean log-prob rank by their place in the batch; those
  without counted tokens have no rank, do not count in G and keep their reward.
  In a group with right answers only the likely ones get negative advantages.

  Args:
    discount: share of the reward that the most likely of many responses
      loses, in [0, 1]; 0.25.
    skip_all_correct: leave groups alone in which every answer is right; not
      in the code.
    threshold: rows with a larger reward are right; 0.5. Only read if
      skip_all_correct.

  Returns:
    A LossTransform named "unlikeliness".

  Raises:
    ValueError: discount out of range.

  Metrics:
    unlikeliness/right_rank: mean of (rank + 0.5) / G over rows with a reward;
      more than 0.5 if likely answers are more often right.
    unlikeliness/factor: mean of R' / R over the same rows.

  Source:
    He et al., Rewarding the Unlikely: Lifting GRPO Beyond Distribution
    Sharpening, arXiv 2506.02355. Code: AndreHe02/rewarding-unlikely-release,
    ray_lean_trainer.py, _compute_advantages.
    Differs from that code: ties rank by place, there at random; a response
    without tokens ranks there as the most likely.
  """
  if not 0 <= discount <= 1:
    raise ValueError(
      f"unlikeliness.discount = {discount!r} must lie in [0, 1]."
    )

  def prepare(batch, state, context):
    del context
    group, reward = batch.group, batch.reward
    likelihood = reduce.row_mean(batch.old_logp, batch.mask)
    ranked = jnp.where(batch.mask.any(axis=1), group, -1)
    rank = reduce.group_rank(likelihood, ranked).astype(jnp.float32)
    count = jnp.maximum(reduce.group_count(ranked), 1)
    factor = 1 - discount * rank / count
    if skip_all_correct:
      wrong = (reward <= threshold).astype(jnp.float32)
      factor = jnp.where(reduce.group_sum(wrong, group) > 0, factor, 1.0)
    earned = (ranked >= 0) & (reward != 0)
    metrics = {
      "unlikeliness/right_rank": reduce.masked_mean(
        (rank + 0.5) / count, earned
      ),
      "unlikeliness/factor": reduce.masked_mean(factor, earned),
    }
    reward = jnp.where(group >= 0, reward * factor, reward)
    return batch.replace(reward=reward, metrics=batch.metrics | metrics), state

  return LossTransform("unlikeliness", prepare=prepare)
