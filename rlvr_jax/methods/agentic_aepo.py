"""Agentic AEPO: gradient past the upper clip bound, advantages by entropy."""

import math

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

ENTROPY = Need(Entropy())


def agentic_aepo(
  clipping: bool = True,
  advantages: bool = True,
  low: float = 0.2,
  high: float = 0.2,
  dual: float | None = 3.0,
  coef: float = 0.2,
  limit: float | None = None,
  scope_rows: int | None = None,
) -> LossTransform:
  """Keeps the gradient of tokens that rose far; weighs tokens by entropy.

  PPO's loss has no gradient where A > 0 and r > 1 + high. Here it has the value
  it has there, and the slope of 1 + high:
    d loss_t / d log pi = -A (1 + high)   A > 0, r > 1 + high
                          0               A < 0, r < 1 - low or r > dual
                          -A r            elsewhere
  Before that A' = A (1 + coef z), z = (H - mean H) / std H over counted tokens
  (ddof 1), held constant; 0 where all H are equal. A token with z < -1 / coef
  changes the sign of its advantage.

  Edits:   objective.advantages (×, if advantages);
           objective.clip_low (own, if clipping), objective.clip_high (own, if
           clipping), objective.surrogate (own, if clipping)
  Needs:   nothing; entropy of the policy at update if advantages
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: clipping = advantages = False

  With scope_rows the order of the rows matters. The third part of the paper,
  how many responses are begun and where they fork, belongs to sampling: see
  `rlvr_jax.branching`.

  Args:
    clipping: whether it sets the surrogate and its bounds; low, high and dual
      act with it only. Without it "ppo_clip" may set them.
    advantages: whether the entropy weighs the advantages.
    low: the ratio's lower bound is 1 - low, in [0, 1]; 0.2.
    high: the ratio's upper bound is 1 + high, >= 0, finite; 0.2.
    dual: bound on the ratio of tokens with negative advantage, > 1; None off;
      3.0.
    coef: strength of the weighing, >= 0, finite; 0.2.
    limit: z is kept in [-limit, limit], > 0; None off, as published. No
      advantage changes its sign if coef * limit < 1.
    scope_rows: rows over which H is averaged, >= 1; None for the whole
      minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "agentic_aepo".

  Raises:
    ValueError: a number out of range.

  Metrics:
    agentic_aepo/kept_fraction: share of the counted tokens past the upper
      bound whose gradient PPO would drop; if clipping.
    agentic_aepo/dual_fraction: share of the counted tokens that the dual clip
      stops; if clipping and dual.
    agentic_aepo/flipped_fraction: share of the counted tokens whose advantage
      changes its sign; if advantages.

  Source:
    Agentic Entropy-Balanced Policy Optimization, arXiv 2510.14545. Code:
    RUC-NLPIR/ARPO, AEPO/verl_aepo_entropy.
    Differs from that code: mean and deviation of H are of the whole minibatch,
    not of a micro-batch (scope_rows = k restores that); where all H are equal
    z is 0, not what rounding leaves. Readers of that code report that its
    scripts never compute the entropy, so that the weighing does nothing there.
  """
  if not 0 <= low <= 1:
    raise ValueError(f"agentic_aepo.low = {low} must lie in [0, 1].")
  for name, value in (("high", high), ("coef", coef)):
    if not 0 <= value < math.inf:
      raise ValueError(
        f"agentic_aepo.{name} = {value} must be >= 0 and finite."
      )
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"agentic_aepo.scope_rows = {scope_rows} must be None or >= 1."
    )
  if dual is not None and not dual > 1:
    raise ValueError(f"agentic_aepo.dual = {dual} must be > 1, or None.")
  if limit is not None and not limit > 0:
    raise ValueError(f"agentic_aepo.limit = {limit} must be > 0, or None.")
  clipped = objective.clipped(dual)

  def surrogate(record, context):
    ratio = objective.ratio(record)
    held = jax.lax.stop_gradient(ratio)
    # Exactly 1; its slope is that of log pi.
    one = 1 + (ratio - held) / held
    return clipped(record.replace(clip_high=record.clip_high * one), context)

  def score(nats, mask):
    """f32[B, T]: z."""
    mean = reduce.masked_mean(nats, mask)
    std = jnp.sqrt(reduce.masked_var(nats, mask, ddof=1))
    # Rounding of the mean of equal numbers is no deviation.
    equal = reduce.masked_max(nats, mask) == reduce.masked_min(nats, mask)
    z = (nats - mean) / jnp.where(std > 0, std, 1)
    z = jnp.where(mask & ~equal, z, 0)
    return z if limit is None else jnp.clip(z, -limit, limit)

  def share(chosen, record):
    return reduce.masked_mean(chosen.astype(jnp.float32), record.mask)

  def weighed(record, context):
    counted = record.mask > 0
    z = reduce.in_blocks(score, scope_rows, context.stat(ENTROPY), counted)
    scale = 1 + coef * z
    flips = (scale < 0) & (record.advantages != 0)
    metrics = {"agentic_aepo/flipped_fraction": share(flips, record)}
    return record.replace(
      advantages=record.advantages * scale, metrics=record.metrics | metrics
    )

  def bounded(record):
    record = record.replace(
      clip_low=jnp.full_like(record.clip_low, 1 - low),
      clip_high=jnp.full_like(record.clip_high, 1 + high),
      surrogate=surrogate,
    )
    ratio = objective.ratio(record)
    kept = (record.advantages > 0) & (ratio > 1 + high)
    metrics = {"agentic_aepo/kept_fraction": share(kept, record)}
    if dual is not None:
      stopped = (record.advantages < 0) & (ratio > dual)
      metrics["agentic_aepo/dual_fraction"] = share(stopped, record)
    return record.replace(metrics=record.metrics | metrics)

  def apply(record, state, context):
    record = weighed(record, context) if advantages else record
    return bounded(record) if clipping else record, state

  return LossTransform(
    "agentic_aepo",
    apply=apply,
    needs=(ENTROPY,) if advantages else (),
    owns=("clip_low", "clip_high", "surrogate") if clipping else (),
  )
