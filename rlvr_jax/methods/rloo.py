"""RLOO: each response against the mean of the others of its prompt."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate


def rloo(singleton: str = "reward") -> LossTransform:
  """Sets each response's advantage to its reward above that of its peers.

  A_i = R_i - mean of R_j over the other responses j of its group, the same
  for every counted token of response i. With n responses per prompt this is
  n / (n - 1) times the advantage of `dr_grpo`, and the baseline does not
  depend on the response it is for.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; equal rewards in a group give zero advantage

  Args:
    singleton: advantage of a group of one, which has no peers: "reward" is R
      (verl's rloo), "zero" is 0 (verl's rloo_vectorized).

  Returns:
    A LossTransform named "rloo".

  Raises:
    ValueError: unknown singleton.

  Metrics:
    none

  Source:
    Ahmadian et al., Back to Basics, arXiv 2402.14740, section 2.3. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_rloo_outcome_advantage and
    compute_rloo_vectorized_outcome_advantage.
    Differs from that code: no difference.
  """
  if singleton not in ("reward", "zero"):
    raise ValueError(
      f"rloo.singleton = {singleton!r} must be 'reward' or 'zero'."
    )

  def advantage(batch, context):
    del context
    reward, group = batch.reward, batch.group
    count = reduce.group_count(group)
    centred = reward - reduce.group_mean(reward, group)
    peers = centred * count / jnp.maximum(count - 1, 1)
    alone = reward if singleton == "reward" else jnp.zeros_like(reward)
    return jnp.where(count == 1, alone, peers)

  return estimate("rloo", advantage)
