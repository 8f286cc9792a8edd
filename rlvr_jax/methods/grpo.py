"""GRPO: advantages relative to the other responses of the same prompt."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def grpo(
  normalize: str = "group", epsilon: float = 1e-6, floor: float = 0.0
) -> LossTransform:
  """Sets each response's advantage to its reward relative to its group.

  A_i = (R_i - mean_g R) / (max(std_g R, floor) + epsilon), the same for every
  counted token of response i. The standard deviation is the sample one (ddof
  1). A group of one has no peers: mean 0 and deviation 1, so A = R / (1 +
  epsilon); with normalize = "batch" its own mean, so A = 0.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; equal rewards in a group give zero advantage

  Args:
    normalize: "group" divides by the deviation inside the group (paper and
      code), "batch" by that of all rewards of the rollout (TRL).
    epsilon: added to the deviation, unit of the reward, >= 0; 1e-6 in verl,
      1e-4 in TRL.
    floor: least deviation, unit of the reward, >= 0; 1e-3 in verl's
      grpo_vectorized, otherwise 0. It matters for rewards that are not 0 or 1.

  Returns:
    A LossTransform named "grpo".

  Raises:
    ValueError: unknown normalize, epsilon < 0 or floor < 0.

  Metrics:
    none

  Source:
    Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_grpo_outcome_advantage and
    compute_grpo_vectorized_outcome_advantage; huggingface/trl,
    grpo_trainer.py.
    Differs from that code: no difference.
  """
  if normalize not in ("group", "batch"):
    raise ValueError(
      f"grpo.normalize = {normalize!r} must be 'group' or 'batch'."
    )
  for name, value in (("epsilon", epsilon), ("floor", floor)):
    if not value >= 0:
      raise ValueError(f"grpo.{name} = {value} must be >= 0.")

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    mean = reduce.group_mean(reward, group)
    if normalize == "group":
      alone = reduce.group_count(group) == 1
      mean = jnp.where(alone, 0.0, mean)
      std = jnp.where(alone, 1.0, reduce.group_std(reward, group))
    else:
      std = jnp.sqrt(reduce.masked_var(reward, group >= 0, ddof=1))
    return (reward - mean) / (jnp.maximum(std, floor) + epsilon)

  return estimate("grpo", advantage)
