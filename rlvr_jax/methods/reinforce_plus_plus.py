"""REINFORCE++: returns whitened over all tokens of the rollout."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def reinforce_plus_plus(
  baseline: bool = False, gamma: float = 1.0
) -> LossTransform:
  """Sets the advantages to returns whitened over the whole rollout.

  The reward R_i sits on the last counted token of response i;
  G_it = gamma^(counted tokens after t) R_i; and over all counted tokens of
  the rollout A = (G - mean G) / sqrt(var G + 1e-8), var with ddof 1. With
  `baseline` the mean reward of the group is taken from R_i first; a group of
  one keeps its reward.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   step
  Neutral: none; with equal rewards and gamma = 1 all advantages are zero

  Args:
    baseline: subtract the group's mean reward first (REINFORCE++-baseline).
    gamma: discount per counted token, in [0, 1]; published value 1.

  Returns:
    A LossTransform named "reinforce_plus_plus".

  Raises:
    ValueError: gamma outside [0, 1].

  Metrics:
    none

  Source:
    Hu et al., REINFORCE++, arXiv 2501.03262, section 3. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_reinforce_plus_plus_outcome_advantage and
    compute_reinforce_plus_plus_baseline_outcome_advantage.
    Differs from that code: before its commit 8a1bf6d5b a return started again
    at zero after uncounted positions between two turns, which left the earlier
    turns without reward. Here, as there since then, it is carried over.
  """
  if not 0 <= gamma <= 1:
    raise ValueError(f"reinforce_plus_plus.gamma = {gamma} must lie in [0, 1].")

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    if baseline:
      alone = reduce.group_count(group) == 1
      mean = reduce.group_mean(reward, group)
      reward = reward - jnp.where(alone, 0.0, mean)
    last = reduce.last_token(batch.mask)
    earned = jnp.where(last, reward[:, None], 0.0)
    returns = reduce.returns_to_go(earned, batch.mask, gamma)
    # Replayed rows keep their advantages, so they do not shift the mean.
    return reduce.whiten(returns, batch.mask & (group >= 0)[:, None])

  return estimate("reinforce_plus_plus", advantage)
