"""Optimal token baseline: returns weighted by the energy of their paths."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, stats
from rlvr_jax.transform import LossTransform, estimate
from rlvr_jax.types import Need

ENERGY = Need(stats.Energy(), when="rollout")
LEAST = 1e-30  # a smaller sum of weights is lost in float32


def optimal_token_baseline(zero_tail: bool = False) -> LossTransform:
  """Subtracts from the reward a baseline for every position of a group.

  A_it = R_i - b_t with b_t = sum_g(R W_t) / sum_g W_t, over the responses of
  the group that count at position t. W_t sums 1 - 2 pi + sum p^2, the squared
  norm of the gradient of log pi by the logits, over the tokens up to t: the
  baseline of least variance weighs returns by the energy of their paths. Where
  all weights vanish b_t is the plain mean. A group of one has no peers: A = R.

  Edits:   batch.advantages (own)
  Needs:   squared norm of the gradient of log pi by the logits, at rollout
  State:   none
  Scope:   group, by position
  Neutral: none; equal rewards in a group give zero advantage

  Args:
    zero_tail: b_t = 0 where one response alone of a larger group still counts,
      whose advantage is 0 there otherwise; an option of the code, which has had
      either default.

  Returns:
    A LossTransform named "optimal_token_baseline".

  Metrics:
    none

  Source:
    Code: volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_optimal_token_baseline_advantage; its documentation calls the
    method OTB.
    Differs from that code: there 1e-8 is added to the sum of the weights,
    which takes the baseline away from a group that is sure of its tokens; here
    nothing is. The terms of W are summed without cancellation. Weights of a
    rollout correction, whose square multiplies W there, are left out.
  """

  def advantage(batch, context):
    group, counted = batch.group, batch.mask.astype(jnp.float32)
    weight = jnp.cumsum(context.stat(ENERGY) * counted, axis=1) * counted
    by_position = lambda x: jax.vmap(
      lambda column: reduce.group_sum(column, group), in_axes=1, out_axes=1
    )(x)
    total, going = by_position(weight), by_position(counted)
    weight = jnp.where(total > LEAST, weight, counted)
    total = jnp.where(total > LEAST, total, jnp.maximum(going, 1))
    baseline = by_position(weight * batch.reward[:, None]) / total
    alone = (reduce.group_count(group) == 1)[:, None]
    if zero_tail:
      alone |= going == 1
    return batch.reward[:, None] - jnp.where(alone, 0.0, baseline)

  return estimate("optimal_token_baseline", advantage, needs=(ENERGY,))
