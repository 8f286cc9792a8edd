"""Optimal token baseline: returns weighted by the energy of their paths."""

import dataclasses

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate
from rlvr_jax.types import Array, Moments, Need


@dataclasses.dataclass(frozen=True)
class SumP2:
  """Probability that two draws from the next-token distribution are equal."""

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """f32[N] from f32[N, V]."""
    del targets
    return (jax.nn.softmax(logits[0], axis=-1) ** 2).sum(axis=-1)

  def from_moments(self, moments: Moments) -> Array:
    """f32[N]: one of the moments."""
    return moments.sum_p2


SUM_P2 = Need(SumP2(), when="rollout")
EPSILON = 1e-8  # added to the sum of the weights


def optimal_token_baseline(zero_tail: bool = False) -> LossTransform:
  """Subtracts from the reward a baseline for every position of a group.

  A_it = R_i - b_t with b_t = sum_g(R W_t) / (sum_g W_t + 1e-8), over the
  responses of the group that count at position t. W_t sums 1 - 2 pi + sum p^2,
  the squared norm of the gradient of log pi by the logits, over the tokens up
  to t: the baseline of least variance weighs returns by the energy of their
  paths. A group of one has no peers: A = R.

  Edits:   batch.advantages (own)
  Needs:   sum of the squared probabilities of the policy at rollout
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
    Differs from that code: a term of W below 0, which is rounding, counts as
    0. Weights of a rollout correction, whose square multiplies W there, are
    left out.
  """

  def advantage(batch, context):
    group, mask = batch.group, batch.mask
    chance = jnp.exp(batch.old_logp)
    energy = jnp.maximum(1 - 2 * chance + context.stat(SUM_P2), 0.0)
    weight = jnp.cumsum(jnp.where(mask, energy, 0.0), axis=1) * mask
    by_position = lambda x: jax.vmap(
      lambda column: reduce.group_sum(column, group), in_axes=1, out_axes=1
    )(x)
    earned = by_position(weight * batch.reward[:, None])
    baseline = earned / (by_position(weight) + EPSILON)
    alone = (reduce.group_count(group) == 1)[:, None]
    if zero_tail:
      alone |= by_position(mask.astype(jnp.float32)) == 1
    return batch.reward[:, None] - jnp.where(alone, 0.0, baseline)

  return estimate("optimal_token_baseline", advantage, needs=(SUM_P2,))
