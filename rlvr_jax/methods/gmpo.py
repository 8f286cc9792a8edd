"""GMPO: the geometric mean of clipped token ratios."""

import math

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform

MAX_LOG_RATIO = 20.0  # nats
WEIGHTINGS = ("arithmetic", "geometric")


def gmpo(
  low: float = 0.4, high: float = 0.4, weighting: str = "arithmetic"
) -> LossTransform:
  """Maximises the geometric instead of the arithmetic mean of token ratios.

  With the log ratio d of a token and c = clip(d, -low, high), the token counts
  as m = min(d, c) if A > 0, max(d, c) if A < 0 and 0 if A = 0, and a response
  i with the token means A_i and m_i costs -A_i exp(m_i). A single ratio far
  from one moves this mean little, so the bounds are wider than PPO's. Every
  token of a response holds that value: the aggregation "seq-mean-token-mean",
  which the loss of the run must be set to, makes it the mean over responses.

  Edits:   objective.clip_low (own), objective.clip_high (own),
           objective.surrogate (own)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: none

  Args:
    low: the log ratio is kept above -low, nats, >= 0; 0.4.
    high: the log ratio is kept below high, nats, >= 0; 0.4.
    weighting: how the weights of other methods act on a response, by their
      "arithmetic" or by their "geometric" mean over its counted tokens, the
      code's choice for a rollout correction. A single weight of 0 does away
      with a response of moderate length by the second.

  Returns:
    A LossTransform named "gmpo".

  Raises:
    ValueError: a bound below 0, or an unknown weighting.

  Metrics:
    gmpo/outside_positive_fraction: counted tokens of positive advantage whose
      ratio is outside the bounds, on either side.
    gmpo/outside_negative_fraction: the same of negative advantage.

  Source:
    Zhao et al., Geometric-Mean Policy Optimization, arXiv 2507.20673. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_policy_loss_geo_mean.
    Differs from that code: responses without a counted token do not enter the
    mean, there they count as 0. The aggregation has to be configured, there it
    is fixed. |d| is bounded by 20 nats. With "geometric" a response whose
    weights are all 0 costs 0, there 1e-10 of what it costs.
  """
  if weighting not in WEIGHTINGS:
    raise ValueError(f"gmpo.weighting = {weighting!r} must be in {WEIGHTINGS}.")
  for name, value in (("low", low), ("high", high)):
    if not value >= 0:
      raise ValueError(f"gmpo.{name} = {value} must be >= 0.")

  def bounded(objective):
    """The log ratio, and the same inside the bounds."""
    d = reduce.clamp(objective.log_ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO)
    ends = jnp.log(objective.clip_low), jnp.log(objective.clip_high)
    return d, reduce.clamp(d, *ends)

  def geometric(objective):
    """f32[B, T]: what, times the weights, has their geometric mean as mean."""
    weights, mask = objective.weights, objective.mask > 0
    mean = jnp.exp(reduce.row_mean(jnp.log(weights + 1e-10), mask))
    felt = mask & (weights > 0)
    share = reduce.row_mean(felt.astype(jnp.float32), mask)
    share = jnp.where(share > 0, share, 1.0)
    every = (mean / share)[:, None] / jnp.where(felt, weights, 1.0)
    return jnp.where(felt, every, 0.0)

  def surrogate(objective, context):
    del context
    advantages, mask = objective.advantages, objective.mask > 0
    d, inside = bounded(objective)
    sign = jnp.sign(advantages)
    counted = sign * jnp.minimum(sign * d, sign * inside)
    ratio = jnp.exp(reduce.row_mean(counted, mask))
    loss = -reduce.row_mean(advantages, mask) * ratio
    loss = jnp.broadcast_to(loss[:, None], mask.shape)
    return loss if weighting == "arithmetic" else loss * geometric(objective)

  def apply(objective, state, context):
    del context
    objective = objective.replace(
      clip_low=jnp.full_like(objective.clip_low, math.exp(-low)),
      clip_high=jnp.full_like(objective.clip_high, math.exp(high)),
      surrogate=surrogate,
    )
    d, inside = bounded(objective)
    share = lambda x: reduce.masked_mean(x.astype(jnp.float32), objective.mask)
    metrics = {
      "gmpo/outside_positive_fraction": share(
        (d != inside) & (objective.advantages > 0)
      ),
      "gmpo/outside_negative_fraction": share(
        (d != inside) & (objective.advantages < 0)
      ),
    }
    return objective.replace(metrics=objective.metrics | metrics), state

  owns = ("clip_low", "clip_high", "surrogate")
  return LossTransform("gmpo", apply=apply, owns=owns)
