"""AER: an entropy bonus for hard problems that holds a share of the entropy."""

import math
from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

SHAPES = ("hinge", "linear", "step")
RULES = ("linear", "sign", "exp")
ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")
NOTE = "aer/coef"


class AerState(NamedTuple):
  """The global coefficient, and the entropy that everything began with."""

  coef: Array  # f32[] of the next step
  initial: Array  # f32[] nats, of the first rollout
  ready: Array  # bool[] whether it is known


def aer(
  target_ratio: float = 0.4,
  difficulty: float = 0.5,
  rate: float = 1e-3,
  shape: str = "hinge",
  rule: str = "linear",
  coef_initial: float = 0.0,
  coef_max: float | None = None,
  threshold: float = 0.5,
) -> LossTransform:
  """Adds the entropy of the policy where few answers of the group are right.

  loss per token -= c max(difficulty - g, 0) / difficulty H, with g the share of
  right rows of the group and c one number for all. After each step
  c = max(c + rate (target_ratio H_0 - H_k), 0), with H_k the mean entropy of
  that step's rollout and H_0 that of the first one.

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update and at rollout
  State:   coef f32[], initial f32[] nats and ready bool[], set at prepare
  Scope:   group; the coefficient is of the run
  Neutral: rate = coef_initial = 0

  Rows without a group get no bonus. Only the main draw is measured.

  Args:
    target_ratio: share of the first entropy to hold, > 0; 0.4.
    difficulty: accuracy from which on a group gets no bonus, in (0, 1]; not
      published, 0.5. Not read by shape "linear".
    rate: step size of c, per nat, >= 0; not published, 1e-3.
    shape: of the bonus over g: "hinge" as above, "linear" c (1 - g), or "step",
      c while g <= difficulty.
    rule: moves c by the error e: "linear" c + rate e, "sign" c + rate sign(e),
      or "exp" c exp(rate e).
    coef_initial: c of the first step, per nat, >= 0; 0, with "exp" > 0.
    coef_max: largest c, >= coef_initial; None for no bound.
    threshold: rows with a larger reward are right; 0.5.

  Returns:
    A LossTransform named "aer".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    aer/entropy: mean H of the counted tokens at update, nats.
    aer/coef: c of this step.
    aer/measured: H_k, nats.
    aer/target: target_ratio H_0, nats.
    aer/hard_fraction: share of the rows in a group with a bonus, whatever c.

  Source:
    Zhang et al., Rediscovering Entropy Regularization: Adaptive Coefficient
    Unlocks Its Potential for LLM Reinforcement Learning, arXiv 2510.10959. No
    code is published, and only the abstract and summaries were at hand: that
    the bonus falls with the accuracy, the anchored target and an update every
    step are the authors', the forms of shape and rule are reconstructed.
    Differs from that code: there is none to compare with.
  """
  if shape not in SHAPES:
    raise ValueError(f"aer.shape = {shape!r} must be in {SHAPES}.")
  if rule not in RULES:
    raise ValueError(f"aer.rule = {rule!r} must be in {RULES}.")
  if not 0 < target_ratio < math.inf:
    raise ValueError(f"aer.target_ratio = {target_ratio} must be > 0, finite.")
  if not 0 < difficulty <= 1:
    raise ValueError(f"aer.difficulty = {difficulty} must lie in (0, 1].")
  if not rate >= 0:
    raise ValueError(f"aer.rate = {rate} must be >= 0.")
  if not coef_initial >= 0 or (rule == "exp" and coef_initial == 0):
    raise ValueError(
      f"aer.coef_initial = {coef_initial} must be >= 0, and > 0 with rule = "
      "'exp', which multiplies it."
    )
  if coef_max is not None and not coef_max >= coef_initial:
    raise ValueError(
      f"aer.coef_max = {coef_max} must be None or >= coef_initial = "
      f"{coef_initial}."
    )
  most = float("inf") if coef_max is None else coef_max

  def hardness(accuracy: Array) -> Array:
    if shape == "linear":
      return 1 - accuracy
    if shape == "step":
      return jnp.where(accuracy <= difficulty, 1.0, 0.0)
    return jnp.maximum(difficulty - accuracy, 0) / difficulty

  def following(coef: Array, error: Array) -> Array:
    if rule == "exp":
      moved = coef * jnp.exp(jnp.minimum(rate * error, 20.0))
    else:
      moved = coef + rate * (jnp.sign(error) if rule == "sign" else error)
    return reduce.clamp(moved, 0.0, most)

  def init(example):
    del example
    zero = jnp.float32(0.0)
    return AerState(jnp.float32(coef_initial), zero, jnp.asarray(False))

  def prepare(batch, state, context):
    main = (batch.source == 0)[:, None]
    nats = context.stat(ROLLOUT_ENTROPY)
    measured = reduce.masked_mean(nats, batch.mask & main)
    initial = jnp.where(state.ready, state.initial, measured)
    target = target_ratio * initial
    live = batch.group >= 0
    right = jnp.where(batch.reward > threshold, 1.0, 0.0)
    hard = hardness(reduce.group_mean(right, batch.group))
    hard = jnp.where(live, hard, 0.0)
    metrics = {
      "aer/coef": state.coef,
      "aer/measured": measured,
      "aer/target": target,
      "aer/hard_fraction": reduce.masked_mean(
        (hard > 0).astype(jnp.float32), live
      ),
    }
    coef = following(state.coef, target - measured)
    return batch.replace(
      notes=batch.notes | {NOTE: state.coef * hard},
      metrics=batch.metrics | metrics,
    ), AerState(coef, initial, jnp.asarray(True))

  def apply(objective, state, context):
    entropy = context.stat(ENTROPY)
    coef = context.batch.notes[NOTE][:, None]
    level = reduce.masked_mean(entropy, objective.mask)
    return objective.replace(
      added=objective.added - coef * entropy,
      metrics=objective.metrics | {"aer/entropy": level},
    ), state

  needs = (ENTROPY, ROLLOUT_ENTROPY)
  return LossTransform("aer", init, apply, prepare, needs=needs)
