"""TEA-RL: an entropy bonus where log-probs go along with advantages."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ENTROPY = Need(Entropy())


def tea_rl(
  alpha: float = 10.0,
  bound: float = 5.0,
  detach_weight: bool = False,
  scope_rows: int | None = None,
) -> LossTransform:
  """Adds an entropy bonus to the tokens that are about to lose most entropy.

  loss per token -= w H with

    cov = (A - mean A)(log pi - mean log pi)    means of all counted tokens
    w   = min(alpha softmax(cov), bound)        softmax over the row's tokens

  The weights of a row add up to alpha at most, so the bonus of a token of a
  long response is small. The gradient goes through H and, unless detached,
  through the log pi in w, but not through its mean, and not through weights at
  the bound: it moves covariance to where the entropy is.

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update
  State:   none
  Scope:   minibatch, the softmax is of a row; with scope_rows blocks of so many
           rows
  Neutral: alpha = 0

  Args:
    alpha: what the weights of a row add up to, per nat, >= 0; 10. A row of n
      tokens has alpha / n on average, so it grows with the responses.
    bound: of a single weight, per nat, >= 0; 5.
    detach_weight: no gradient through the weights.
    scope_rows: rows over which means are taken, >= 1; None for the whole
      minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "tea_rl".

  Raises:
    ValueError: a number out of range.

  Metrics:
    tea_rl/weight: mean w of the counted tokens.
    tea_rl/bounded_fraction: share of them whose weight is at the bound.
    tea_rl/bonus: their mean w H, nats.

  Source:
    Wang et al., Light-IF: Endowing LLMs with Generalizable Reasoning via
    Preview and Self-Checking for Complex Instruction Following, arXiv
    2508.03178. Code: Qihoo360/Light-IF, the patch of verl's core_algos.py.
    Differs from that code: statistics are of the whole minibatch, not of the
    micro-batch of one rank (scope_rows = k restores that); a response without
    tokens earns nothing, there it is NaN. As released the code cannot be
    reached; this is what it would compute.
  """
  for name, value in (("alpha", alpha), ("bound", bound)):
    if not value >= 0:
      raise ValueError(f"tea_rl.{name} = {value!r} must be >= 0.")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"tea_rl.scope_rows = {scope_rows!r} must be None or >= 1."
    )

  def apply(objective, state, context):
    mask, logp = objective.mask > 0, context.logp
    if detach_weight:
      logp = jax.lax.stop_gradient(logp)
    cov = reduce.in_blocks(
      _covariance, scope_rows, objective.advantages, logp, mask
    )
    free = alpha * reduce.row_softmax(cov, mask)
    weight = reduce.clamp(free, 0.0, bound)
    bonus = weight * context.stat(ENTROPY)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
    metrics = {
      "tea_rl/weight": mean(weight),
      "tea_rl/bounded_fraction": mean(free > bound),
      "tea_rl/bonus": mean(bonus),
    }
    return objective.replace(
      added=objective.added - bonus, metrics=objective.metrics | metrics
    ), state

  return LossTransform("tea_rl", apply=apply, needs=(ENTROPY,))


def _covariance(advantages: Array, logp: Array, mask: Array) -> Array:
  """The terms of the covariance, f32[B, T]; the mean log-prob is constant."""
  mean = jax.lax.stop_gradient(reduce.masked_mean(logp, mask))
  return (advantages - reduce.masked_mean(advantages, mask)) * (logp - mean)
