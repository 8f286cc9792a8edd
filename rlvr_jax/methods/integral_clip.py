"""An upper clip bound that moves to hold the entropy at a target."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import controllers, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")


class IntegralClipState(NamedTuple):
  """The bound in force."""

  width: Array  # f32[] how far the ratio may exceed 1, set at prepare


def integral_clip(
  target_entropy: float = 0.2,
  rate: float = 0.01,
  low: float = 0.2,
  high: float = 0.5,
  initial: float = 0.2,
) -> LossTransform:
  """Sets the upper clip bound by an integral controller of the entropy.

  Once a step, before the updates: width += rate (target - H), kept in [low,
  high], H the mean entropy of the rollout's main draw over the full
  vocabulary. The ratio is then kept below 1 + width. A wider bound lets
  improbable tokens of positive advantage grow further.

  Edits:   objective.clip_high (own)
  Needs:   entropy of the policy at rollout
  State:   width f32[], set at prepare
  Scope:   step
  Neutral: rate = 0 with initial at the bound of the loss

  Args:
    target_entropy: nats per token, >= 0; not published.
    rate: move of the bound per nat and step, >= 0; not published, 0.01 here.
    low: least width, >= 0; not published, 0.2 here.
    high: largest width, >= low; not published, 0.5 here.
    initial: width before the first rollout, in [low, high]; 0.2.

  Returns:
    A LossTransform named "integral_clip".

  Raises:
    ValueError: a number out of range.

  Metrics:
    integral_clip/clip_high: the upper bound on the ratio.
    integral_clip/measured: entropy that moved it, nats.

  Source:
    A public note on the training of MAI-Thinking-1 names the rule and no
    numbers; there is neither paper nor code.
    Differs from that code: unknown, as there is none.
  """
  for name, value in (("target_entropy", target_entropy), ("rate", rate)):
    if not value >= 0:
      raise ValueError(f"integral_clip.{name} = {value!r} must be >= 0.")
  if not 0 <= low <= high:
    raise ValueError(
      f"integral_clip.low = {low!r} must lie in [0, high = {high}]."
    )
  if not low <= initial <= high:
    raise ValueError(
      f"integral_clip.initial = {initial!r} must lie in [{low}, {high}]."
    )
  integral = controllers.dual_ascent(rate, low, high, initial)

  def init(example):
    del example
    return IntegralClipState(integral.init())

  def prepare(batch, state, context):
    main = (batch.source == 0)[:, None]
    nats = context.stat(ROLLOUT_ENTROPY)
    measured = reduce.masked_mean(nats, batch.mask & main)
    width, _ = integral.update(state.width, target_entropy - measured)
    metrics = batch.metrics | {"integral_clip/measured": measured}
    return batch.replace(metrics=metrics), IntegralClipState(width)

  def apply(objective, state, context):
    del context
    bound = 1 + state.width
    return objective.replace(
      clip_high=jnp.full_like(objective.clip_high, bound),
      metrics=objective.metrics | {"integral_clip/clip_high": bound},
    ), state

  return LossTransform(
    "integral_clip",
    init,
    apply,
    prepare,
    needs=(ROLLOUT_ENTROPY,),
    owns=("clip_high",),
  )
