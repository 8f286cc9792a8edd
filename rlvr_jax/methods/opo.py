"""OPO: the length-weighted baseline of least variance."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def opo() -> LossTransform:
  """Sets each response's advantage to its reward above a weighted group mean.

  A_i = R_i - sum_g(len R) / sum_g(len), the same for every counted token of
  response i, with len its counted tokens. The baseline of least variance weighs
  rewards by the squared norm of the gradient of their log-likelihood; the
  length stands for that norm. There is no deviation to divide by, and OPO is
  meant for one update per rollout. A group of one has no peers: A = R.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; with responses of equal length it is dr_grpo

  Returns:
    A LossTransform named "opo".

  Metrics:
    none

  Source:
    Hao et al., On-Policy RL with Optimal Reward Baseline, arXiv 2505.23585.
    Code: volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_opo_outcome_advantage.
    Differs from that code: a group without any counted token has the baseline
    0, there it is NaN.
  """

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    length = reduce.row_length(batch.mask)
    total = reduce.group_sum(length, group)
    earned = reduce.group_sum(length * reward, group)
    baseline = earned / jnp.maximum(total, 1)
    alone = reduce.group_count(group) == 1
    return reward - jnp.where(alone, 0.0, baseline)

  return estimate("opo", advantage)
