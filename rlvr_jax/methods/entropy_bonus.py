"""Entropy bonus with a fixed or an adaptive coefficient."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import controllers, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ADAPTIVE = (None, "skywork", "trl")
TIES = (None, "above", "below")
ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")


class EntropyBonusState(NamedTuple):
  """The coefficient in force, and the controller for the next step."""

  applied: Array  # f32[] in force since the last prepare
  coef: Array  # f32[] of the next step
  enabled: Array  # bool[] whether the next step has a bonus at all


def entropy_bonus(
  coef: float = 1e-3,
  adaptive: str | None = None,
  target: float = 0.2,
  delta: float = 1e-4,
  coef_min: float = 0.0,
  coef_max: float = 5e-3,
  coef_initial: float = 0.0,
  tie: str | None = None,
) -> LossTransform:
  """Adds the entropy of the next-token distribution to the objective.

  loss per token -= c H, with c = coef, or adapted: c climbs by delta after a
  step whose entropy is below the target and falls by delta after any other,
  and the bonus is on only in the step after one below. Both act one step late.

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update; at rollout too for "trl"
  State:   none; if adaptive applied f32[], coef f32[] and enabled bool[], set
           at prepare
  Scope:   token; the adaptive coefficient is of the step
  Neutral: coef = 0

  Args:
    coef: the fixed coefficient, per nat, >= 0; 1e-3 in verl of 2025. Not read
      if adaptive.
    adaptive: None; "skywork" (Skywork-OR1) steers by the mean of -log pi_old
      of the sampled tokens and begins switched on; "trl" by the entropy over
      the full vocabulary and begins switched off.
    target: entropy to hold, nats per token, >= 0; 0.2.
    delta: one move of the coefficient, > 0; 1e-4 in the scripts, 5e-3 in the
      report and in TRL.
    coef_min: least adaptive coefficient, >= 0; 0.
    coef_max: largest adaptive coefficient, >= coef_min; 5e-3, in TRL 1.
    coef_initial: adaptive coefficient of the first step, in [coef_min,
      coef_max]; 0.
    tie: an entropy equal to the target counts as "above" or "below"; None for
      "above" with "skywork", "below" with "trl", as in their code.

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
    grpo_trainer.py.
    Differs from that code: the report switches on by the entropy of the same
    step and counts a tie as below; TRL measures during the updates, here it is
    the rollout, and TRL's bonus is a token mean whatever the aggregation.
  """
  if adaptive not in ADAPTIVE:
    raise ValueError(
      f"entropy_bonus.adaptive = {adaptive!r} must be in {ADAPTIVE}."
    )
  if tie not in TIES:
    raise ValueError(f"entropy_bonus.tie = {tie!r} must be in {TIES}.")
  for name, value in (("coef", coef), ("target", target)):
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
  tie = tie or ("below" if adaptive == "trl" else "above")

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

  steps = controllers.fixed_step(delta, coef_min, coef_max, coef_initial)

  def init(example):
    del example
    start, enabled = steps.init(), jnp.asarray(adaptive == "skywork")
    return EntropyBonusState(jnp.where(enabled, start, 0.0), start, enabled)

  def prepare(batch, state, context):
    trl = adaptive == "trl"
    nats = context.stat(ROLLOUT_ENTROPY) if trl else -batch.old_logp
    main = (batch.source == 0)[:, None]
    measured = reduce.masked_mean(nats, batch.mask & main)
    below = measured <= target if tie == "below" else measured < target
    following, _ = steps.update(state.coef, jnp.where(below, 1.0, -1.0))
    applied = jnp.where(state.enabled, state.coef, 0.0)
    metrics = batch.metrics | {"entropy_bonus/measured": measured}
    state = EntropyBonusState(applied, following, below)
    return batch.replace(metrics=metrics), state

  def apply(objective, state, context):
    return bonus(objective, context, state.applied), state

  needs = (ENTROPY, ROLLOUT_ENTROPY) if adaptive == "trl" else (ENTROPY,)
  return LossTransform("entropy_bonus", init, apply, prepare, needs=needs)
