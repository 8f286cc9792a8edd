"""Entropy annealing: regularisation whose strength falls with the steps."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.objective import nothing
from rlvr_jax.stats import Entropy, Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ENTROPY = Need(Entropy())
REF_LOGP = Need(Logp(), params=("ref",), when="rollout")
FORMS = ("bonus", "kl", "sequence")
SIGNALS = ("advantage", "reward")


def entropy_annealing(
  form: str = "bonus",
  coef: float = 1e-3,
  period: float = 100.0,
  power: float = 1.0,
  coef_min: float = 0.0,
  step_size: float = 1.0,
  signal: str = "advantage",
  length_mean: bool = False,
) -> LossTransform:
  """Regularises by tau_k = max(coef_min, coef / (1 + k / period)^power).

  At step k, by form:
    bonus     loss per token -= tau H, H the entropy of the policy
    kl        loss per token += tau k3, the k3 estimate of KL(policy || ref)
    sequence  one step of mirror descent on whole responses in place of the
              policy loss, extra += mean (l - z + c)^2 / (2 step_size), with l
              the log-prob of a response, z = (1 - step_size tau) l_old +
              step_size tau l_ref + step_size R and c the mean of z - l over
              the group, held constant. Rows without a group are left out.

  The mirror step of single tokens is not offered: its target needs the old
  policy's whole distribution at each token, which is not kept from sampling.

  Edits:   if form is not "sequence" objective.added (+); if it is,
           objective.surrogate (own), objective.extra (+)
  Needs:   entropy of the policy at update; if "kl" or "sequence" log-prob of
           ref at rollout instead
  State:   none
  Scope:   token; group if form = "sequence"
  Neutral: coef = 0, unless form = "sequence"

  Args:
    form: "bonus", "kl" or "sequence".
    coef: tau of step 0, loss per nat, >= 0; 1e-3 with "bonus", 1e-2 with the
      other two, here. Of "sequence" it multiplies the divergence of whole
      responses.
    period: steps, > 0; 100 here.
    power: how fast tau falls, >= 0; 1 for finitely many actions, 0.5 in
      general, 0 keeps it.
    coef_min: tau falls no lower, in [0, coef].
    step_size: of "sequence", > 0, with step_size coef <= 1; 1 for advantages
      of unit deviation, here.
    signal: of "sequence", R is the mean "advantage" of a row or its "reward".
    length_mean: of "sequence", log-probs are divided by the length.

  Returns:
    A LossTransform named "entropy_annealing".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    entropy_annealing/coef: tau.
    entropy_annealing/entropy: mean H of the counted tokens, nats; if "bonus".
    entropy_annealing/kl: mean estimate of the divergence, nats; if "kl".
    entropy_annealing/residual: root mean square of l - z + c, nats; if
      "sequence".

  Source:
    Sethi, Siska, Zhang, Entropy annealing for policy mirror descent in
    continuous time and space, arXiv 2405.20250: theory only, no code. The
    forms for responses and all numbers are this library's.
    Differs from that code: unknown, as there is none.
  """
  if form not in FORMS:
    raise ValueError(f"entropy_annealing.form = {form!r} must be in {FORMS}.")
  if signal not in SIGNALS:
    raise ValueError(
      f"entropy_annealing.signal = {signal!r} must be in {SIGNALS}."
    )
  for name, value in (("coef", coef), ("power", power)):
    if not value >= 0:
      raise ValueError(f"entropy_annealing.{name} = {value!r} must be >= 0.")
  for name, value in (("period", period), ("step_size", step_size)):
    if not value > 0:
      raise ValueError(f"entropy_annealing.{name} = {value!r} must be > 0.")
  if not 0 <= coef_min <= coef:
    raise ValueError(
      f"entropy_annealing.coef_min = {coef_min!r} must lie in [0, coef = "
      f"{coef}]."
    )
  if form == "sequence" and step_size * coef > 1:
    raise ValueError(
      f"entropy_annealing.step_size = {step_size!r} must be <= 1 / coef = "
      f"{1 / coef}."
    )

  def tau(step):
    fallen = coef / (1 + step / period) ** power
    return jnp.maximum(jnp.float32(coef_min), fallen)

  def bonus(objective, context, strength):
    entropy = context.stat(ENTROPY)
    mean = reduce.masked_mean(entropy, objective.mask)
    added = objective.added - strength * entropy
    return dict(added=added), {"entropy": mean}

  def kl(objective, context, strength):
    k3 = reduce.k3(context.logp - context.stat(REF_LOGP))
    mean = reduce.masked_mean(k3, objective.mask)
    return dict(added=objective.added + strength * k3), {"kl": mean}

  def sequence(objective, context, strength):
    batch = context.batch
    whole = reduce.row_mean if length_mean else _row_sum
    moved = whole(context.logp - batch.old_logp, batch.mask)
    drift = whole(batch.old_logp - context.stat(REF_LOGP), batch.mask)
    given = batch.reward
    if signal == "advantage":
      given = reduce.row_mean(objective.advantages, batch.mask)
    residual = moved + step_size * (strength * drift - given)
    live = (batch.group >= 0) & batch.mask.any(axis=1)
    group = jnp.where(live, batch.group, -1)
    mean = reduce.group_mean(jax.lax.stop_gradient(residual), group)
    square = reduce.masked_mean((residual - mean) ** 2, live)
    extra = objective.extra + square / (2 * step_size)
    found = {"residual": jnp.sqrt(jax.lax.stop_gradient(square))}
    return dict(extra=extra, surrogate=nothing), found

  edit = {"bonus": bonus, "kl": kl, "sequence": sequence}[form]

  def apply(objective, state, context):
    strength = tau(context.step)
    edits, found = edit(objective, context, strength)
    found = {f"entropy_annealing/{k}": v for k, v in found.items()}
    metrics = objective.metrics | {"entropy_annealing/coef": strength} | found
    return objective.replace(metrics=metrics, **edits), state

  return LossTransform(
    "entropy_annealing",
    apply=apply,
    needs=(ENTROPY,) if form == "bonus" else (REF_LOGP,),
    owns=("surrogate",) if form == "sequence" else (),
  )


def _row_sum(x: Array, mask: Array) -> Array:
  return jnp.where(mask, x, 0.0).sum(axis=1)
