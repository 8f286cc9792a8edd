"""DisCO: raise the score of right answers over that of the best wrong ones."""

import jax.numpy as jnp

from rlvr_jax import contrast, reduce
from rlvr_jax.transform import LossTransform

FORMS = ("disco", "disco_b")


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
  if form not in FORMS:
    raise ValueError(f"disco.form = {form!r} must be in {FORMS}.")
  rule = contrast.Contrast(
    "disco", score, tau, beta, delta, estimator, value, threshold
  )
  contrast.check(rule)

  def apply(record, state, context):
    group = context.batch.group
    right, wrong, both = contrast.kinds(rule, record, context)
    scores = contrast.scores(rule, record, context)

    def mean(kind):
      total = reduce.group_sum(jnp.where(kind, scores, 0.0), group)
      return total / jnp.maximum(contrast.count(kind, group), 1)

    soft = form == "disco"
    below = (
      contrast.soft_maximum(rule, scores, wrong, group) if soft else mean(wrong)
    )
    earned = mean(right) - below
    return contrast.replaced(rule, record, context, earned, both), state

  return LossTransform("disco", apply=apply, owns=contrast.OWNS)
