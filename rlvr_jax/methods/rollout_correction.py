"""Rollout correction: weights for tokens sampled from another distribution."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Context, Objective

LEVELS = (None, "token", "sequence")
MODES = ("truncate", "mask")
RULES = tuple(
  f"{over}_{estimator}"
  for over, estimator in itertools.product(
    ("token", "seq_sum", "seq_mean", "seq_max"), ("k1", "k2", "k3")
  )
  if (over, estimator) != ("seq_max", "k1")
)
MAX_LOG_RATIO = 20.0  # nats; keeps statistics finite
WEIGHT = "rollout_correction/weight"  # note: f32[B, T]


class Rule(NamedTuple):
  """One test that tokens or responses must pass to count."""

  over: str  # "token", "seq_sum", "seq_mean" or "seq_max"
  estimator: str  # "k1", "k2" or "k3"
  low: float
  high: float


def rollout_correction(
  level: str | None = "token",
  mode: str = "truncate",
  high: float = 2.0,
  low: float = 0.0,
  batch_normalize: bool = False,
  max_log_ratio: float | None = 20.0,
  rejection: str = "",
  rejection_thresholds: str = "",
  sequence_mask_delta: float | None = None,
) -> LossTransform:
  """Weighs tokens by how much likelier the trained policy finds them.

  With d = log pi_old - log pi_sample, sampling-time parameters against the
  distribution the sampler really drew from (another engine, precision,
  temperature or truncation), the weight is exp(d), or exp of the sum of d over
  the response, cut off at `high`. It multiplies the surrogate only. Rejection
  takes tokens or whole responses out of the batch: no loss, not in its
  denominator, and not in statistics over tokens of the advantage estimator, in
  front of which this stands. Both are decided once, on the whole rollout.

  Edits:   if rejection is set batch.mask (×); if level or sequence_mask_delta
           is set objective.weights (×)
  Needs:   nothing
  State:   none
  Scope:   token or sequence; rollout if batch_normalize
  Neutral: level = None without rejection and sequence_mask_delta; a sampler
           that draws from pi_old

  Rules of `rejection`, where k1 = -d, k2 = d^2 / 2, k3 = exp(d) - 1 - d:
  token_k1, token_k2, token_k3 judge a token; seq_sum_k*, seq_mean_k*,
  seq_max_k2 and seq_max_k3 the whole response. What a rule of k1 lets pass
  lies in [log low, log high], others up to their threshold.

  Args:
    level: "token", "sequence", or None for no weights.
    mode: "truncate" cuts the ratio to [low, high], "mask" sets it to 0
      outside.
    high: largest ratio, > 0; 2.0 in verl, 3.0 in TRL.
    low: smallest ratio, in [0, high]; 0 is none.
    batch_normalize: divide the weights by their mean over counted tokens,
      with "sequence" over responses.
    max_log_ratio: bound on |d| and on its sum before exp, nats, > 0; None off
      (TRL).
    rejection: rules separated by commas, all of which must pass; "" for none.
    rejection_thresholds: one per rule, separated by commas; of k1 "low_high"
      or one number for 1 / it and it; one alone holds for all. In verl e.g.
      "0.5_2.0".
    sequence_mask_delta: at an update, tokens of negative advantage weigh 0 in
      responses whose mean of log pi_sample - log pi exceeds this, nats; None
      off. Not published with a number.

  Returns:
    A LossTransform named "rollout_correction".

  Raises:
    ValueError: an unknown choice or rule, or a number out of range.

  Metrics:
    rollout_correction/kl: mean of -d, nats.
    rollout_correction/chi_squared: mean of exp(2 d), minus 1.
    rollout_correction/weight_mean: mean weight of the counted tokens, if level
      is set.
    rollout_correction/cut_fraction: counted tokens whose ratio lies outside
      [low, high], if level is set.
    rollout_correction/rejected_fraction: counted tokens taken out, if
      rejection is set.
    rollout_correction/stale_fraction: counted tokens that weigh 0 by
      sequence_mask_delta, if it is set.

  Source:
    Yao et al., Your Efficient RL Framework Secretly Brings You Off-Policy RL
    Training, 2025 (truncated importance sampling). Code: volcengine/verl,
    verl/trainer/ppo/rollout_corr_helper.py; huggingface/trl, grpo_trainer.py
    (there also the off-policy sequence mask of DeepSeek-V3.2).
    Differs from that code: no difference in decoupled mode, where pi_old is
    the policy at its scoring temperature, as the sampler computed it
    (config.rollout.old_logp = "sampler") or a pass of the trainer ("score").
    Bypass mode, with pi_sample in place of pi_old in the ratio, is left out.
  """
  if level not in LEVELS:
    raise ValueError(
      f"rollout_correction.level = {level!r} must be in {LEVELS}."
    )
  if mode not in MODES:
    raise ValueError(f"rollout_correction.mode = {mode!r} must be in {MODES}.")
  if not high > 0:
    raise ValueError(f"rollout_correction.high = {high!r} must be > 0.")
  if not 0 <= low <= high:
    raise ValueError(
      f"rollout_correction.low = {low!r} must lie in [0, high = {high!r}]."
    )
  if max_log_ratio is not None and not max_log_ratio > 0:
    raise ValueError(
      f"rollout_correction.max_log_ratio = {max_log_ratio!r} must be > 0, or "
      "None."
    )
  if sequence_mask_delta is not None and math.isnan(sequence_mask_delta):
    raise ValueError(
      f"rollout_correction.sequence_mask_delta = {sequence_mask_delta!r} must "
      "be a number, or None."
    )
  rules = _rules(rejection, rejection_thresholds)

  def power(x):
    if max_log_ratio is not None:
      x = reduce.clamp(x, -max_log_ratio, max_log_ratio)
    return jnp.exp(x)

  def weigh(drift, mask):
    total = jnp.where(mask > 0, drift, 0).sum(axis=1, keepdims=True)
    raw = power(drift if level == "token" else total)
    raw = jnp.broadcast_to(raw, drift.shape)
    inside = (raw >= low) & (raw <= high)
    bounded = jnp.clip(raw, low, high)
    weights = bounded if mode == "truncate" else jnp.where(inside, raw, 0.0)
    if not batch_normalize:
      return weights, ~inside
    if level == "token":
      mean = reduce.masked_mean(weights, mask)
    else:  # every response alike, whatever its length
      rows = reduce.row_mean(weights, mask)
      mean = reduce.masked_mean(rows, reduce.row_length(mask) > 0)
    return weights / jnp.where(mean > 0, mean, 1.0), ~inside

  def prepare(batch, state, context):
    del context
    mask, notes = batch.mask, batch.notes
    drift = batch.old_logp - batch.sample_logp
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
    bounded = reduce.clamp(drift, -MAX_LOG_RATIO, MAX_LOG_RATIO)
    metrics = {
      "rollout_correction/kl": mean(-drift),
      "rollout_correction/chi_squared": mean(jnp.exp(2 * bounded)) - 1,
    }
    if level is not None:
      weights, cut = weigh(drift, mask)
      notes = notes | {WEIGHT: weights}
      metrics["rollout_correction/weight_mean"] = mean(weights)
      metrics["rollout_correction/cut_fraction"] = mean(cut)
    if rules:
      kept = _passes(rules, drift, mask)
      batch = batch.replace(mask=mask & kept)
      metrics["rollout_correction/rejected_fraction"] = mean(~kept)
    return batch.replace(notes=notes, metrics=batch.metrics | metrics), state

  def apply(objective, state, context):
    weights, metrics = objective.weights, objective.metrics
    if level is not None:
      weights = weights * context.batch.notes[WEIGHT]
    if sequence_mask_delta is not None:
      stale = _stale(objective, context, sequence_mask_delta)
      weights = jnp.where(stale, 0.0, weights)
      share = reduce.masked_mean(stale.astype(jnp.float32), objective.mask)
      metrics = metrics | {"rollout_correction/stale_fraction": share}
    return objective.replace(weights=weights, metrics=metrics), state

  return LossTransform("rollout_correction", apply=apply, prepare=prepare)


def _stale(objective: Objective, context: Context, delta: float) -> Array:
  """bool[B, T]: pushed down, in responses the policy has moved away from."""
  drift = context.batch.sample_logp - jax.lax.stop_gradient(context.logp)
  far = reduce.row_mean(drift, objective.mask) > delta
  return (objective.advantages < 0) & far[:, None]


def _rules(rejection: str, thresholds: str) -> tuple[Rule, ...]:
  split = lambda text: [x.strip() for x in text.split(",") if x.strip()]
  names, limits = split(rejection), split(thresholds)
  unknown = [name for name in names if name not in RULES]
  if unknown:
    raise ValueError(
      f"rollout_correction.rejection = {rejection!r} must hold rules of "
      f"{RULES}; unknown are {unknown}."
    )
  limits = limits * max(len(names), 1) if len(limits) == 1 else limits
  try:
    if len(names) != len(limits):
      raise ValueError("another number of thresholds than of rules")
    return tuple(map(_rule, names, limits))
  except (ValueError, ZeroDivisionError) as error:
    raise ValueError(
      f"rollout_correction.rejection_thresholds = {thresholds!r} must give one "
      f"number > 0 for each of {names}, of k1 perhaps low_high: {error}."
    ) from error


def _rule(name: str, limit: str) -> Rule:
  over, _, estimator = name.rpartition("_")
  # Not float(limit): Python reads "0.5_2" as 0.52.
  first, both, second = limit.partition("_")
  high = float(second if both else first)
  if estimator != "k1":
    if both or not high > 0:
      raise ValueError(f"{limit!r} is no number > 0")
    return Rule(over, estimator, -math.inf, high)
  low = float(first) if both else 1 / high
  if not 0 < low <= high:
    raise ValueError(f"{limit!r} is no range of positive numbers")
  return Rule(over, estimator, math.log(low), math.log(high))


def _passes(rules: tuple[Rule, ...], drift: Array, mask: Array) -> Array:
  """bool[B, T]: whether a token passes all rules, alone and by its response."""
  bounded = reduce.clamp(drift, -MAX_LOG_RATIO, MAX_LOG_RATIO)
  estimates = {
    "k1": -drift,
    "k2": 0.5 * drift**2,
    "k3": jnp.exp(bounded) - 1 - bounded,
  }
  over: dict[str, Callable[[Array], Array]] = {
    "token": lambda x: x,
    "seq_sum": lambda x: jnp.where(mask > 0, x, 0).sum(1, keepdims=True),
    "seq_mean": lambda x: reduce.row_mean(x, mask)[:, None],
    "seq_max": lambda x: jnp.where(mask > 0, x, 0).max(1, keepdims=True),
  }
  kept = jnp.ones(drift.shape, bool)
  for rule in rules:
    value = over[rule.over](estimates[rule.estimator])
    kept &= (value >= rule.low) & (value <= rule.high)
  return kept
