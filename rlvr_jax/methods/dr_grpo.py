"""Dr.GRPO: group-relative advantages without the deviation of the group."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def dr_grpo(singleton: str = "reward") -> LossTransform:
  """Sets each response's advantage to its reward above its group's mean.

  A_i = R_i - mean_g R, the same for every counted token of response i.
  Dividing by the deviation would favour prompts that are nearly always or
  nearly never solved, and dividing by the length of the response would favour
  long wrong answers: use it with the aggregation "seq-mean-token-sum-norm",
  whose `scale` is a constant number of tokens (rows times the length limit
  gives the mean over responses).

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; equal rewards in a group give zero advantage

  Args:
    singleton: advantage of a group of one: "reward" is R (verl), "zero" is
      R - R (TRL).

  Returns:
    A LossTransform named "dr_grpo".

  Raises:
    ValueError: unknown singleton.

  Metrics:
    none

  Source:
    Liu et al., Understanding R1-Zero-like training, arXiv 2503.20783,
    section 3.2. Code: volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_grpo_outcome_advantage with norm_adv_by_std_in_grpo=False.
    Differs from that code: no difference.
  """
  if singleton not in ("reward", "zero"):
    raise ValueError(
      f"dr_grpo.singleton = {singleton!r} must be 'reward' or 'zero'."
    )

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    alone = reduce.group_count(group) == 1
    keep = alone & (singleton == "reward")
    return reward - jnp.where(keep, 0.0, reduce.group_mean(reward, group))

  return estimate("dr_grpo", advantage)
