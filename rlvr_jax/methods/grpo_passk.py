"""pass@k-GRPO: only the best response of a group earns anything."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def grpo_passk(epsilon: float = 1e-6) -> LossTransform:
  """Rewards the best response of a group by its lead over the second best.

  A = (r_max - r_second) / (std_g + epsilon) for the best response, 0 for all
  others, with the sample deviation (ddof 1) of the group: the gradient of the
  largest reward of a group. Two best responses have no lead, so of rewards 0
  and 1 only groups with a single right answer are learnt from.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; a tie of the best gives zero advantage

  Args:
    epsilon: added to the deviation, unit of the reward, >= 0; 1e-6.

  Returns:
    A LossTransform named "grpo_passk".

  Raises:
    ValueError: epsilon < 0.

  Metrics:
    none

  Source:
    Tang et al., arXiv 2503.19595. Code: volcengine/verl,
    verl/trainer/ppo/core_algos.py, compute_grpo_passk_outcome_advantage.
    Differs from that code: a group of one gets advantage 0, there an error.
  """
  if not epsilon >= 0:
    raise ValueError(f"grpo_passk.epsilon = {epsilon!r} must be >= 0.")

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    # Ties rank by place: the second of two best ones has the same reward.
    after = reduce.group_count(group) - 1 - reduce.group_rank(reward, group)
    best, second = (
      reduce.group_sum(jnp.where(after == k, reward, 0.0), group)
      for k in (0, 1)
    )
    several = reduce.group_count(group) > 1
    lead = jnp.where(several & (after == 0), best - second, 0.0)
    std = reduce.group_std(reward, group)
    return lead / jnp.where(lead > 0, std + epsilon, 1.0)

  return estimate("grpo_passk", advantage)
