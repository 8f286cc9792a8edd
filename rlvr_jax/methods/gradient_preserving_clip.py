"""Clip bounds that depend on the token's probability and on the step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

CHOICES = {
  "strategy": ("id", "did", "od"),
  "probability": ("current", "old"),
}
ENTROPY = Need(Entropy(), when="rollout")


class GradientPreservingClipState(NamedTuple):
  """The switch of "od" and the entropy that its thresholds are shares of."""

  raises: Array  # bool[] whether the upper bound is the wide one
  initial: Array  # f32[] nats, of the first step
  measured: Array  # bool[] whether there was a first step


def gradient_preserving_clip(
  strategy: str = "id",
  steps: int = 400,
  split: float = 0.5,
  probability: str = "current",
  base: float = 0.2,
  high_slope: float = -0.25,
  high_intercept: float = 0.5,
  low_slope: float = -0.13,
  low_intercept: float = 0.3,
  floor: float = 0.2,
) -> LossTransform:
  """Widens one clip bound for improbable tokens, which one by a schedule.

  The ratio stays in [1 - low, 1 + high]; each is `base` or a wide bound, for
  tokens of probability p U = high_slope p + high_intercept above (raises the
  entropy) and L = low_slope p + low_intercept below (lowers it):
    id   the upper goes from U to base; after the split the lower from L to base
    did  the upper goes from base to U; after the split it stays there and the
         lower goes from L to base
    od   the upper is U once the entropy is down at floor times its first value,
         the lower is L once it is above a ceiling that falls from the first
         value to that floor
  All bounds are constant for the gradient.

  Edits:   objective.clip_low (own), objective.clip_high (own)
  Needs:   nothing; entropy of the policy at rollout if "od"
  State:   none; if "od" raises bool[], initial f32[] and measured bool[], set
           at prepare
  Scope:   token; the schedule is of the step
  Neutral: slopes 0 and intercepts = base, if `loss(clip=...)` has that base too

  Args:
    strategy: entropy up then down, "id" (best in the paper), down, up, down,
      "did", or oscillating with falling ceiling, "od".
    steps: of the whole run, >= 1; 400.
    split: share of the steps before the second phase, in (0, 1); 0.5.
    probability: p of the "current" policy (paper) or of the "old" one, which
      makes the bounds constant within a step.
    base: distance of the narrow bounds from 1, in [0, 1]; 0.2.
    high_slope: of U, >= -high_intercept; -0.25.
    high_intercept: U of a token of probability 0, >= 0; 0.5.
    low_slope: of L, in [-low_intercept, 1 - low_intercept]; -0.13.
    low_intercept: L of a token of probability 0, in [0, 1]; 0.3.
    floor: of "od", share of the first entropy, in [0, 1]; 0.2.

  Returns:
    A LossTransform named "gradient_preserving_clip".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    gradient_preserving_clip/low: mean distance of the lower bound from 1.
    gradient_preserving_clip/high: mean distance of the upper bound from 1.
    gradient_preserving_clip/entropy: mean over the main draw, nats; only if
      "od".

  Source:
    Chen et al., Flexible Entropy Control in RLVR with a Gradient-Preserving
    Perspective, arXiv 2602.09782. Code: none released.
    Differs from that code: none to compare with. The slopes and intercepts
    are second hand. Where the sources are silent: no gradient through p,
    "od" starts with the wide lower bound and measures its first entropy on the
    first rollout.
  """
  for name, value in (("strategy", strategy), ("probability", probability)):
    if value not in CHOICES[name]:
      raise ValueError(
        f"gradient_preserving_clip.{name} = {value!r} must be in "
        f"{CHOICES[name]}."
      )
  ranges = {
    "steps": (steps, 1, float("inf")),
    "base": (base, 0, 1),
    "high_intercept": (high_intercept, 0, float("inf")),
    "high_slope": (high_slope, -high_intercept, float("inf")),
    "low_intercept": (low_intercept, 0, 1),
    "low_slope": (low_slope, -low_intercept, 1 - low_intercept),
    "floor": (floor, 0, 1),
  }
  for name, (value, least, most) in ranges.items():
    if not least <= value <= most:
      limits = (
        f", with high_intercept = {high_intercept} and low_intercept = "
        f"{low_intercept}"
      )
      raise ValueError(
        f"gradient_preserving_clip.{name} = {value} must lie in [{least}, "
        f"{most}]{limits if name.endswith('slope') else ''}."
      )
  if not 0 < split < 1:
    raise ValueError(
      f"gradient_preserving_clip.split = {split} must lie in (0, 1)."
    )
  turn = split * steps  # the last step of the first phase

  def widths(step, state):
    """How much of U and of L is in force, f32[] in [0, 1] each."""
    if strategy == "od":
      upper = jnp.where(state.raises, 1.0, 0.0)
      return upper, 1 - upper
    done = jnp.asarray(step, jnp.float32)
    second = done > turn
    early = jnp.minimum(done / turn, 1.0)
    late = jnp.clip((done - turn) / (steps - turn), 0.0, 1.0)
    lower = jnp.where(second, 1 - late, 0.0)
    if strategy == "id":
      return jnp.where(second, 0.0, 1 - early), lower
    return early, lower

  def init(example):
    del example
    off = jnp.asarray(False)
    return GradientPreservingClipState(off, jnp.float32(0), off)

  def prepare(batch, state, context):
    main = (batch.source == 0)[:, None]
    entropy = reduce.masked_mean(context.stat(ENTROPY), batch.mask & main)
    initial = jnp.where(state.measured, state.initial, entropy)
    low, left = floor * initial, 1 - context.step / steps
    high = low + (initial - low) * jnp.maximum(left, 0.0)
    raises = jnp.where(entropy > high, False, state.raises)
    raises = jnp.where(entropy <= low, True, raises)
    metrics = batch.metrics | {"gradient_preserving_clip/entropy": entropy}
    state = GradientPreservingClipState(
      raises, initial, jnp.ones_like(state.measured)
    )
    return batch.replace(metrics=metrics), state

  def apply(objective, state, context):
    old = context.batch.old_logp
    logp = old if probability == "old" else context.logp
    p = jnp.exp(jax.lax.stop_gradient(logp))
    upper, lower = widths(context.step, state)
    high = base + upper * (high_slope * p + high_intercept - base)
    low = base + lower * (low_slope * p + low_intercept - base)
    metrics = {
      "gradient_preserving_clip/low": reduce.masked_mean(low, objective.mask),
      "gradient_preserving_clip/high": reduce.masked_mean(high, objective.mask),
    }
    return objective.replace(
      clip_low=1 - low,
      clip_high=1 + high,
      metrics=objective.metrics | metrics,
    ), state

  method = LossTransform(
    "gradient_preserving_clip", apply=apply, owns=("clip_low", "clip_high")
  )
  if strategy != "od":
    return method
  return method._replace(init=init, prepare=prepare, needs=(ENTROPY,))
