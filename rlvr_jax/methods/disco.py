"""DisCO: raise the score of right answers over that of the best wrong ones."""

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.transform import LossTransform

FORMS = ("disco", "disco_b")
SCORES = ("logp", "ratio")
ESTIMATORS = ("k1", "k3")
VALUES = ("true", "code")


def disco(
  form: str = "disco",
  score: str = "logp",
  tau: float = 10.0,
  beta: float = 1e3,
  delta: float = 1e-4,
  estimator: str = "k1",
  value: str = "true",
  threshold: float = 0.5,
) -> LossTransform:
  """Replaces the policy loss by a contrast of right and wrong answers.

  With s_i the mean over the tokens of response i of log pi, or of pi / pi_old,
  a question with right answers P and wrong answers N earns

    mean_P s - tau log mean_N exp(s / tau)

  and the loss is minus the mean over all questions of the minibatch, those
  without both kinds earning 0, plus beta / 2 max(KL - delta, 0)^2 with KL the
  token mean of an estimate of KL(pi_old || pi). No advantage and no clipping.

  Edits:   objective.extra (+); objective.surrogate (own), objective.clip_low
           (own), objective.clip_high (own)
  Needs:   nothing
  State:   none
  Scope:   group; the divergence is of the minibatch
  Neutral: none

  Args:
    form: "disco" as above; "disco_b" has mean_N s in place of the soft maximum
      over wrong answers.
    score: "logp" or "ratio".
    tau: temperature of the soft maximum, unit of the score, > 0; 10 with
      "logp", 1 with "ratio".
    beta: strength of the constraint, per nat^2, >= 0; 1e3.
    delta: divergence that is free, nats, >= 0; 1e-4.
    estimator: "k1" is -log r, "k3" is r - 1 - log r ("low_var_kl").
    value: "true", or "code" for the loss value that the code reports, of the
      same gradient.
    threshold: rows with a larger reward are right; 0.5.

  Returns:
    A LossTransform named "disco".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    disco/contrast: mean over all questions of what they earn.
    disco/used_fraction: share of the questions with both kinds.
    disco/kl: KL, nats.
    disco/over_delta: whether KL > delta.

  Source:
    Li et al., DisCO: Reinforcing Large Reasoning Models with Discriminative
    Constrained Optimization, arXiv 2505.12366. Code: Optimization-AI/DisCO,
    verl/trainer/ppo/core_algos.py.
    Differs from that code: responses without tokens are left out, there they
    give NaN; a ratio is at most e^20; with value = "true" the loss is the
    stated one, where the code has tau in place of the soft maximum and
    max(beta (KL - delta), 0) KL in place of the square.
  """
  for name, given, known in (
    ("form", form, FORMS),
    ("score", score, SCORES),
    ("estimator", estimator, ESTIMATORS),
    ("value", value, VALUES),
  ):
    if given not in known:
      raise ValueError(f"disco.{name} = {given!r} must be in {known}.")
  if not tau > 0:
    raise ValueError(f"disco.tau = {tau!r} must be > 0.")
  for name, number in (("beta", beta), ("delta", delta)):
    if not number >= 0:
      raise ValueError(f"disco.{name} = {number!r} must be >= 0.")

  def contrast(record, context):
    """f32[B] what the question of each row earns, bool[B] if it has both."""
    group, mask = context.batch.group, record.mask > 0
    logp = record.log_ratio + context.batch.old_logp
    each = logp if score == "logp" else objective.ratio(record)
    scores, counted = reduce.row_mean(each, mask), mask.any(axis=1)
    right = counted & (context.batch.reward > threshold)
    wrong = counted & ~right
    count = lambda kind: reduce.group_sum(kind.astype(jnp.float32), group)
    mean = lambda kind: (
      reduce.group_sum(jnp.where(kind, scores, 0.0), group)
      / jnp.maximum(count(kind), 1)
    )
    below = mean(wrong)
    if form == "disco":
      total = reduce.group_logsumexp(scores / tau, group, wrong)
      below = tau * (total - jnp.log(jnp.maximum(count(wrong), 1)))
      if value == "code":
        below = tau + below - jax.lax.stop_gradient(below)
    both = (count(right) > 0) & (count(wrong) > 0)
    return jnp.where(both, mean(right) - below, 0.0), both

  def constraint(kl):
    excess = jnp.maximum(kl - delta, 0.0)
    if value == "code":
      return beta * jax.lax.stop_gradient(excess) * kl
    return beta / 2 * excess**2

  def apply(record, state, context):
    group = context.batch.group
    share = 1 / jnp.maximum(reduce.group_count(group), 1)
    questions = jnp.maximum(reduce.group_total(group), 1)
    mean = lambda x: (share * x).sum() / questions
    earned, both = contrast(record, context)
    kl = objective.divergence(record, estimator)
    metrics = {
      "disco/contrast": mean(earned),
      "disco/used_fraction": mean(both),
      "disco/kl": kl,
      "disco/over_delta": (kl > delta).astype(jnp.float32),
    }
    return record.replace(
      extra=record.extra - mean(earned) + constraint(kl),
      clip_low=jnp.zeros_like(record.clip_low),
      clip_high=jnp.full_like(record.clip_high, jnp.inf),
      surrogate=objective.nothing,
      metrics=record.metrics | metrics,
    ), state

  return LossTransform(
    "disco", apply=apply, owns=("surrogate", "clip_low", "clip_high")
  )
