"""Entropy bonus with a fixed or an adaptive coefficient."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import controllers, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ADAPTIVE = (None, "skywork", "trl", "integral")
TIES = (None, "above", "below")
ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")


class EntropyBonusState(NamedTuple):
  """The coefficient in force, and the controller for the next step."""

  applied: Array  # f32[] in force since the last prepare
  coef: Array  # f32[] of the next step
  enabled: Array  # bool[] whether the next step has a bonus at all


class IntegralState(NamedTuple):
  """The same where the error of the entropy is summed up."""

  applied: Array  # f32[] in force since the last prepare
  coef: Array  # f32[] of the next step
  anchor: Array  # f32[] nats, entropy of the first rollout
  started: Array  # bool[] whether there was a rollout


State = EntropyBonusState | IntegralState


class _Rule(NamedTuple):
  """How the coefficient moves: once a step, by the measured entropy."""

  init: Callable[[], State]
  update: Callable[[State, Array], State]


def entropy_bonus(
  coef: float = 1e-3,
  adaptive: str | None = None,
  target: float = 0.2,
  delta: float = 1e-4,
  coef_min: float = 0.0,
  coef_max: float = 5e-3,
  coef_initial: float = 0.0,
  tie: str | None = None,
  rate: float = 1e-3,
) -> LossTransform:
  """Adds the entropy of the next-token distribution to the objective.

  loss per token -= c H, with c = coef, or adapted. By steps: c climbs by delta
  after a step whose entropy is below the target and falls by delta after any
  other, and the bonus is on only in the step after one below. By the integral:
  c += rate (anchor - entropy), the anchor being the entropy of the first step.
  All act one step late.

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update; at rollout too for "trl" and
           "integral"
  State:   none; if adaptive applied f32[], coef f32[] and enabled bool[], or
           with "integral" anchor f32[] nats and started bool[], set at prepare
  Scope:   token; the adaptive coefficient is of the step
  Neutral: coef = 0

  Args:
    coef: the fixed coefficient, per nat, >= 0; 1e-3 in verl of 2025. Not read
      if adaptive.
    adaptive: None; "skywork" (Skywork-OR1) steers by the mean of -log pi_old
      of the sampled tokens and begins switched on; "trl" by the entropy over
      the full vocabulary and begins switched off; "integral" (SIREN's
      baseline) by the entropy over the full vocabulary and is always on.
    target: entropy to hold, nats per token, >= 0; 0.2. Not read by "integral".
    delta: one move of the coefficient, > 0; 1e-4 in the scripts, 5e-3 in the
      report and in TRL. Not read by "integral".
    coef_min: least adaptive coefficient, >= 0; 0.
    coef_max: largest adaptive coefficient, >= coef_min; 5e-3, in TRL 1, inf in
      the code of "integral".
    coef_initial: adaptive coefficient of the first step, in [coef_min,
      coef_max]; 0.
    tie: an entropy equal to the target counts as "above" or "below"; None for
      "above" with "skywork", "below" with "trl", as in their code.
    rate: of "integral", coefficient per nat and step, >= 0; its code has 0,
      which holds the first coefficient.

  Returns:
    A LossTransform named "entropy_bonus".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    entropy_bonus/entropy: mean H of the counted tokens, nats.
    entropy_bonus/coef: c in force.
    entropy_bonus/measured: the entropy that decides the next c, nats; only if
      adaptive.

  Source:
    Fixed: volcengine/verl, actor.entropy_coeff. Adaptive: Skywork Open
    Reasoner 1, arXiv 2505.22312; code SkyworkAI/Skywork-OR1,
    verl/trainer/ppo/core_algos.py, EntController; huggingface/trl,
    grpo_trainer.py; Linn3a/siren, naive_entropy_reg_adaptive.
    Differs from that code: the report switches on by the entropy of the same
    step (not offered: the released code has that of the step before) and
    counts a tie as below; TRL and SIREN measure during the updates,
    SIREN also moves c after each micro-batch, here it is once a step on the
    rollout; TRL's bonus is a token mean whatever the aggregation.
  """
  if adaptive not in ADAPTIVE:
    raise ValueError(
      f"entropy_bonus.adaptive = {adaptive!r} must be in {ADAPTIVE}."
    )
  if tie not in TIES:
    raise ValueError(f"entropy_bonus.tie = {tie!r} must be in {TIES}.")
  for name, value in (("coef", coef), ("target", target), ("rate", rate)):
    if not value >= 0:
      raise ValueError(f"entropy_bonus.{name} = {value} must be >= 0.")
  if not delta > 0:
    raise ValueError(f"entropy_bonus.delta = {delta} must be > 0.")
  if not 0 <= coef_min <= coef_max:
    raise ValueError(
      f"entropy_bonus.coef_min = {coef_min} must lie in [0, coef_max = "
      f"{coef_max}]."
    )
  if not coef_min <= coef_initial <= coef_max:
    raise ValueError(
      f"entropy_bonus.coef_initial = {coef_initial} must lie in "
      f"[{coef_min}, {coef_max}]."
    )

  def bonus(objective, context, applied):
    entropy = context.stat(ENTROPY)
    metrics = {
      "entropy_bonus/entropy": reduce.masked_mean(entropy, objective.mask),
      "entropy_bonus/coef": jnp.asarray(applied, jnp.float32),
    }
    return objective.replace(
      added=objective.added - applied * entropy,
      metrics=objective.metrics | metrics,
    )

  if adaptive is None:

    def apply_fixed(objective, state, context):
      return bonus(objective, context, coef), state

    return LossTransform("entropy_bonus", apply=apply_fixed, needs=(ENTROPY,))

  bounds = coef_min, coef_max, coef_initial
  if adaptive == "integral":
    rule = _integral(controllers.dual_ascent(rate, *bounds))
  else:
    tie = tie or ("below" if adaptive == "trl" else "above")
    steps = controllers.fixed_step(delta, *bounds)
    rule = _by_steps(steps, target, tie == "below", adaptive == "skywork")
  sampled = adaptive == "skywork"

  def prepare(batch, state, context):
    nats = -batch.old_logp if sampled else context.stat(ROLLOUT_ENTROPY)
    main = (batch.source == 0)[:, None]
    measured = reduce.masked_mean(nats, batch.mask & main)
    metrics = batch.metrics | {"entropy_bonus/measured": measured}
    return batch.replace(metrics=metrics), rule.update(state, measured)

  def apply(objective, state, context):
    return bonus(objective, context, state.applied), state

  return LossTransform(
    "entropy_bonus",
    lambda example: rule.init(),
    apply,
    prepare,
    needs=(ENTROPY,) if sampled else (ENTROPY, ROLLOUT_ENTROPY),
  )


def _by_steps(
  steps: controllers.Controller, target: float, tie_below: bool, begins_on: bool
) -> _Rule:
  """Up by a fixed step while the entropy is below the target, else down."""

  def init():
    start, enabled = steps.init(), jnp.asarray(begins_on)
    return EntropyBonusState(jnp.where(enabled, start, 0.0), start, enabled)

  def update(state, measured):
    below = measured <= target if tie_below else measured < target
    following, _ = steps.update(state.coef, jnp.where(below, 1.0, -1.0))
    applied = jnp.where(state.enabled, state.coef, 0.0)
    return EntropyBonusState(applied, following, below)

  return _Rule(init, update)


def _integral(integral: controllers.Controller) -> _Rule:
  """By the sum of the differences to the entropy of the first step."""

  def init():
    start, nats = integral.init(), jnp.float32(0)
    return IntegralState(start, start, nats, jnp.asarray(False))

  def update(state, measured):
    anchor = jnp.where(state.started, state.anchor, measured)
    following, _ = integral.update(state.coef, anchor - measured)
    return IntegralState(state.coef, following, anchor, jnp.asarray(True))

  return _Rule(init, update)
