"""GPG: the policy gradient with a group baseline and nothing else."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def gpg(divisor: float = 1.0) -> LossTransform:
  """Maximises the log-likelihood times a group-relative reward.

  A_i = a (R_i - mean_g R) / divisor and loss_t = -A_i log pi: no ratio, no
  clip, no deviation of the group. a = rows / rows whose reward is not zero, of
  the whole rollout, makes up for rows that teach nothing because nothing in
  their group was right; it is meant for rewards of 0 and 1. A group of one has
  no peers and keeps a R_i / divisor.

  Edits:   batch.advantages (own), objective.surrogate (own)
  Needs:   nothing
  State:   none
  Scope:   group; a is of the step
  Neutral: none; equal rewards in a group give zero advantage

  Args:
    divisor: divides the advantages, unit of the reward, > 0; 1.0.

  Returns:
    A LossTransform named "gpg".

  Raises:
    ValueError: divisor is not positive.

  Metrics:
    none

  Source:
    Chu et al., GPG: a simple and strong reinforcement learning baseline for
    model reasoning, arXiv 2504.02546. Code: volcengine/verl,
    verl/trainer/ppo/core_algos.py, compute_gpg_outcome_advantage and
    compute_policy_loss_gpg.
    Differs from that code: rows without a group are not counted in a.
  """
  if not divisor > 0:
    raise ValueError(f"gpg.divisor = {divisor} must be > 0.")

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    own = group >= 0
    useful = (own & (reward != 0)).sum()
    scale = own.sum() / jnp.maximum(useful, 1)
    alone = reduce.group_count(group) == 1
    mean = jnp.where(alone, 0.0, reduce.group_mean(reward, group))
    return scale * (reward - mean) / divisor

  def surrogate(objective, context):
    logp = objective.log_ratio + context.batch.old_logp
    return -objective.advantages * logp

  def apply(objective, state, context):
    del context
    return objective.replace(surrogate=surrogate), state

  method = estimate("gpg", advantage)
  return method._replace(apply=apply, owns=(*method.owns, "surrogate"))
