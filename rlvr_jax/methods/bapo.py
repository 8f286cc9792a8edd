"""BAPO: clip bounds that move until positive tokens have their share."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import objective, reduce
from rlvr_jax.transform import LossTransform

CHOICES = {
  "order": ("high_first", "low_first"),
  "statistic": ("share", "ratio", "active"),
  "at_limit": ("clamp", "stop"),
}
EPSILON = 1e-8  # of the statistic's denominator


def bapo(
  target: float = 0.4,
  low_start: float = 0.6,
  low_max: float = 0.9,
  low_step: float = 0.02,
  high_start: float = 1.2,
  high_max: float = 3.0,
  high_step: float = 0.05,
  order: str = "high_first",
  statistic: str = "share",
  at_limit: str = "clamp",
  dual: float | None = None,
) -> LossTransform:
  """Moves both clip bounds until the positive tokens weigh enough.

  With P and N the sums of A min(r, high) where A >= 0 and |A| max(r, low)
  where A < 0, the bounds walk from their starts to their maxima, one after the
  other, while the statistic is below the target. The walk starts anew at every
  update; no negative tokens, no walk. A higher `low` only raises N: it takes
  gradient from negative tokens, but cannot reach a target of P / (P + N).

  Edits:   objective.clip_low (own), objective.clip_high (own),
           objective.surrogate (own, if dual)
  Needs:   nothing
  State:   none
  Scope:   minibatch
  Neutral: target = 0 with the bounds of `loss(clip=...)` as starts

  Args:
    target: the walk ends once the statistic is at least this, >= 0, and < 1
      unless that is "ratio"; 0.4 (0.45 for Llama) of "share"; 0.5 (script) or
      1 (yaml) of "ratio".
    low_start: first lower bound on the ratio, in [0, low_max]; 0.6, for Llama
      and in the script 0.8.
    low_max: last one, <= 1; 0.9, in the scripts 0.95, in the yaml 0.8.
    low_step: one move, > 0; 0.02, in the code 0.05.
    high_start: first upper bound on the ratio, in [1, high_max]; 1.2.
    high_max: last one; 3.0, for Llama and in the code 2.0.
    high_step: one move, > 0; 0.05, in the scripts 0.1.
    order: which bound moves first, "high_first" (paper) or "low_first" (code).
    statistic: "share" is P / (P + N) (paper), "ratio" P / N (code), "active"
      the share over the tokens that have gradient (ours), which answers to
      `low` too.
    at_limit: a step past a maximum is cut to it, "clamp" (code), or not taken,
      "stop" (paper).
    dual: bound on the ratio of tokens with negative advantage, > 1; None off
      (paper), 3.0 in the code.

  Returns:
    A LossTransform named "bapo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    bapo/clip_low: lower bound in force.
    bapo/clip_high: upper bound in force.
    bapo/positive_share: P / (P + N) under them, of "active" tokens only if
      that is the statistic.
    bapo/dual_fraction: counted tokens the dual clip stops, if dual.

  Source:
    BAPO: Stabilizing Off-Policy Reinforcement Learning for LLMs via Balanced
    Policy Optimization with Adaptive Clipping, arXiv 2510.18927, equation 8
    and algorithm 1. Code: WooooDyy/BAPO, recipe/bapo/policy_loss.py.
    Differs from that code: its order is low first, its statistic the ratio,
    its dual clip 3.0; each is an option. From the paper: samples are drawn
    from pi_old already, so P and N hold no further factor of it.
  """
  given = {"order": order, "statistic": statistic, "at_limit": at_limit}
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(f"bapo.{name} = {value!r} must be in {CHOICES[name]}.")
  ranges = {
    "target": (target, 0, math.inf),
    "low_max": (low_max, 0, 1),
    "low_start": (low_start, 0, low_max),
    "high_max": (high_max, 1, math.inf),
    "high_start": (high_start, 1, high_max),
  }
  if statistic != "ratio" and not target < 1:
    raise ValueError(
      f"bapo.target = {target} must be < 1 with bapo.statistic = "
      f"{statistic!r}: no share reaches it, so both bounds would always go to "
      'their maxima; "ratio" may have such a target.'
    )
  for name, (value, least, most) in ranges.items():
    if not least <= value <= most or math.isinf(value):
      limits = f", with low_max = {low_max} and high_max = {high_max}"
      raise ValueError(
        f"bapo.{name} = {value} must lie in [{least}, {most}], finite"
        f"{limits if name.endswith('start') else ''}."
      )
  for name, value in (("low_step", low_step), ("high_step", high_step)):
    if not value > 0:
      raise ValueError(f"bapo.{name} = {value} must be > 0.")
  if dual is not None and not dual > 1:
    raise ValueError(f"bapo.dual = {dual} must be > 1, or None.")
  surrogate = objective.clipped(dual)
  path = _path(
    _stops(low_start, low_max, low_step, at_limit),
    _stops(high_start, high_max, high_step, at_limit),
    order,
  )

  def sums(ratio, advantages, mask, low, high):
    gains = advantages >= 0
    effect = jnp.where(gains, jnp.minimum(ratio, high), jnp.maximum(ratio, low))
    if statistic == "active":
      mask = mask & jnp.where(gains, ratio <= high, ratio >= low)
    effect = jnp.where(mask, effect * advantages, 0.0)
    return jnp.maximum(effect, 0).sum(), -jnp.minimum(effect, 0).sum()

  def falls_short(positive, negative):
    whole = negative + (0.0 if statistic == "ratio" else positive)
    return (negative > 0) & (positive / (whole + EPSILON) < target)

  def search(ratio, advantages, mask):
    steps = jnp.asarray(path, ratio.dtype)
    at = lambda place: sums(ratio, advantages, mask, *steps[place])

    def going(place):
      return (place < len(path) - 1) & falls_short(*at(place))

    place = jax.lax.while_loop(going, lambda place: place + 1, jnp.int32(0))
    positive, negative = at(place)
    return *steps[place], positive / (positive + negative + EPSILON)

  def apply(record, state, context):
    del context
    ratio = jax.lax.stop_gradient(objective.ratio(record))
    low, high, share = search(ratio, record.advantages, record.mask > 0)
    metrics = {
      "bapo/clip_low": low,
      "bapo/clip_high": high,
      "bapo/positive_share": share,
    }
    record = record.replace(
      clip_low=jnp.full_like(record.clip_low, low),
      clip_high=jnp.full_like(record.clip_high, high),
      metrics=record.metrics | metrics,
    )
    if dual is not None:
      stopped = (ratio > dual) & (record.advantages < 0)
      fraction = reduce.masked_mean(stopped.astype(jnp.float32), record.mask)
      record = record.replace(
        surrogate=surrogate,
        metrics=record.metrics | {"bapo/dual_fraction": fraction},
      )
    return record, state

  owns = ("clip_low", "clip_high") + (() if dual is None else ("surrogate",))
  return LossTransform("bapo", apply=apply, owns=owns)


def _stops(start: float, most: float, step: float, at_limit: str) -> np.ndarray:
  """The values that one bound takes, float64[n]."""
  # The nudge: 0.3 / 0.02 is a little more than 15 in binary.
  moves = (most - start) / step
  count = (
    math.ceil(moves - 1e-9) if at_limit == "clamp" else math.floor(moves + 1e-9)
  )
  return np.minimum(start + step * np.arange(count + 1), most)


def _path(lows: np.ndarray, highs: np.ndarray, order: str) -> np.ndarray:
  """Every pair (low, high) that the walk can reach, in its order."""
  if order == "high_first":
    pairs = [(lows[0], high) for high in highs]
    pairs += [(low, highs[-1]) for low in lows[1:]]
  else:
    pairs = [(low, highs[0]) for low in lows]
    pairs += [(lows[-1], high) for high in highs[1:]]
  return np.array(pairs)
