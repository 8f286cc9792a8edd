"""Positive-Advantage Reweighting: a scheduled weight of the right answers."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import controllers, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

SCHEDULES = ("entropy", "stage", "epoch", "constant")
ENTROPY = Need(Entropy(), when="rollout")


class RevisitingEntropyState(NamedTuple):
  """The weight in force, and the one that the next step will use."""

  applied: Array  # f32[] in force since the last prepare
  following: Array  # f32[] of the next step


def revisiting_entropy(
  schedule: str = "entropy",
  target: float = 0.2,
  delta: float = 0.05,
  initial: float = 0.0,
  steps: int = 400,
  epochs: int = 10,
  weight: float = 0.0,
  negative_weight: float = 1.0,
  random_clip: float = 0.0,
) -> LossTransform:
  """Multiplies the loss of tokens with positive advantage by lambda.

  lambda is in [0, 1] and comes, at step k of K, from
    entropy   moves by delta a step: down after a step whose entropy was below
              the target, up after any other
    stage     0 in the first half, then 2 k / K - 1
    epoch     (e - 1) / (E - 1) in epoch e of E
    constant  weight
  Right answers sharpen what is likely already, so a small lambda holds the
  entropy up. The denominator stays that of all tokens. With random_clip the
  choice is random per position.

  Edits:   objective.weights (×)
  Needs:   nothing; entropy of the policy at rollout if schedule = "entropy"
  State:   none; if schedule = "entropy" applied f32[] and following f32[], set
           at prepare
  Scope:   token; lambda is of the step
  Neutral: schedule = "constant" with weight = 1

  Args:
    schedule: "entropy" (main choice of the paper), "stage", "epoch" or
      "constant".
    target: of "entropy", nats per token, >= 0; 0.2.
    delta: of "entropy", one move of lambda, > 0; 0.05.
    initial: of "entropy", lambda of the first step, in [0, 1]; 0.
    steps: of "stage" and "epoch", K steps of the whole run, >= 1.
    epochs: of "epoch", E passes over the data in K steps, in [1, steps]; 1
      makes lambda 1.
    weight: of "constant", >= 0; 0 trains on no positive token.
    negative_weight: of tokens with negative advantage, >= 0; 1. With weight =
      1 and 0 here only positive tokens are trained on.
    random_clip: chance of a positive token to lose its loss, in [0, 1]; 0 is
      none. Rand-Pos-Clip, a baseline of the paper, is "constant" with weight =
      1 and a small chance here, e.g. 2e-4; the paper's is not known.

  Returns:
    A LossTransform named "revisiting_entropy".

  Raises:
    ValueError: an unknown schedule, or a number out of range.

  Metrics:
    revisiting_entropy/weight: lambda in force.
    revisiting_entropy/positive_fraction: share of the counted tokens with
      positive advantage.
    revisiting_entropy/entropy: mean over the main draw, nats, which decides
      the next lambda; only if schedule = "entropy".

  Source:
    Jin et al., Revisiting Entropy in Reinforcement Learning for Large
    Reasoning Models, arXiv 2511.05993. Code: cordercorder/EntropyRL,
    train_scripts/pos_adv_reweight.sh.
    Differs from that code: not compared with it, only with the paper. An
    entropy equal to the target raises lambda. Where the paper is silent:
    the entropy is that of the rollout, before the updates, and K and E, from
    which halves and epochs follow, are hyper-parameters.
  """
  if schedule not in SCHEDULES:
    raise ValueError(
      f"revisiting_entropy.schedule = {schedule!r} must be in {SCHEDULES}."
    )
  ranges = {
    "target": (target, 0, math.inf),
    "initial": (initial, 0, 1),
    "steps": (steps, 1, math.inf),
    "weight": (weight, 0, math.inf),
    "negative_weight": (negative_weight, 0, math.inf),
    "random_clip": (random_clip, 0, 1),
    "epochs": (epochs, 1, steps if schedule == "epoch" else math.inf),
  }
  for name, (value, least, most) in ranges.items():
    if not least <= value <= most:
      raise ValueError(
        f"revisiting_entropy.{name} = {value} must lie in [{least}, {most}]."
      )
  if not delta > 0:
    raise ValueError(f"revisiting_entropy.delta = {delta} must be > 0.")

  controller = controllers.fixed_step(delta, 0.0, 1.0, initial)

  def scheduled(step, state):
    step = jnp.asarray(step)
    if schedule == "entropy":
      return state.applied
    if schedule == "stage":
      return jnp.clip(2 * step.astype(jnp.float32) / steps - 1, 0.0, 1.0)
    if schedule == "epoch" and epochs > 1:
      # Whole numbers: the first step of an epoch must not fall short of it.
      epoch = jnp.minimum(step * epochs // steps, epochs - 1)
      return epoch.astype(jnp.float32) / (epochs - 1)
    return jnp.float32(1.0 if schedule == "epoch" else weight)

  def init(example):
    del example
    return RevisitingEntropyState(controller.init(), controller.init())

  def prepare(batch, state, context):
    main = (batch.source == 0)[:, None]
    entropy = reduce.masked_mean(context.stat(ENTROPY), batch.mask & main)
    rises = jnp.where(entropy < target, -1.0, 1.0)
    following, _ = controller.update(state.following, rises)
    metrics = batch.metrics | {"revisiting_entropy/entropy": entropy}
    state = RevisitingEntropyState(state.following, following)
    return batch.replace(metrics=metrics), state

  def apply(objective, state, context):
    gains, losses = objective.advantages > 0, objective.advantages < 0
    factor = scheduled(context.step, state)
    weights = jnp.where(losses, negative_weight, 1.0)
    weights = jnp.where(gains, factor, weights)
    if random_clip:
      dice = jax.random.uniform(context.key, gains.shape)
      weights = jnp.where(gains & (dice < random_clip), 0.0, weights)
    share = reduce.masked_mean(gains.astype(jnp.float32), objective.mask)
    metrics = {
      "revisiting_entropy/weight": factor,
      "revisiting_entropy/positive_fraction": share,
    }
    return objective.replace(
      weights=objective.weights * weights, metrics=objective.metrics | metrics
    ), state

  method = LossTransform("revisiting_entropy", apply=apply)
  if schedule != "entropy":
    return method
  return method._replace(init=init, prepare=prepare, needs=(ENTROPY,))
