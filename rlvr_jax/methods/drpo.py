"""DRPO: DisCO in which short right answers weigh more than long ones."""

import jax.numpy as jnp

from rlvr_jax import contrast, reduce
from rlvr_jax.transform import LossTransform


def drpo(
  length_scale: float = 0.1,
  max_length: int = 0,
  score: str = "logp",
  tau: float = 10.0,
  beta: float = 1e3,
  delta: float = 1e-4,
  estimator: str = "k1",
  value: str = "true",
  threshold: float = 0.5,
) -> LossTransform:
  """Replaces the policy loss by a contrast that prefers short right answers.

  With s_i the mean over the tokens of response i of log pi, or of pi / pi_old,
  a question with right answers P and wrong answers N earns

    sum_P w s - tau log mean_N exp(s / tau),   w = softmax_P(-n / (L lambda))

  with n the tokens of a response and L the longest possible. The loss is minus
  the mean over all questions of the minibatch, those without both kinds
  earning 0, plus beta / 2 max(KL - delta, 0)^2 with KL the token mean of an
  estimate of KL(pi_old || pi). Length never pushes a right answer down.

  Edits:   objective.extra (+); objective.surrogate (own), objective.clip_low
           (own), objective.clip_high (own)
  Needs:   nothing
  State:   none
  Scope:   group; the divergence is of the minibatch
  Neutral: none; a large length_scale is `disco`

  Args:
    length_scale: lambda, > 0; smaller is shorter; 0.1. inf weighs all right
      answers alike.
    max_length: L, tokens, >= 0; 0 is the padded length of the responses, as in
      the code.
    score: "logp" or "ratio".
    tau: temperature of the soft maximum over wrong answers, unit of the score,
      > 0; 10 with "logp", 1 with "ratio".
    beta: strength of the constraint, per nat^2, >= 0; 1e3.
    delta: divergence that is free, nats, >= 0; 1e-4.
    estimator: "k1" is -log r, "k3" is r - 1 - log r ("low_var_kl").
    value: "true", or "code" for the loss value that the code reports, of the
      same gradient.
    threshold: rows with a larger reward are right; 0.5.

  Returns:
    A LossTransform named "drpo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    drpo/contrast: mean over all questions of what they earn.
    drpo/used_fraction: share of the questions with both kinds.
    drpo/largest_weight: mean over these of the largest w.
    drpo/kl: KL, nats.
    drpo/over_delta: whether KL > delta.

  Source:
    DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization, arXiv
    2510.04474. Code: Optimization-AI/DRPO, verl/trainer/ppo/core_algos.py.
    Differs from that code: responses without tokens are left out, there they
    give NaN; a ratio is at most e^20; with value = "true" the loss is the
    stated one, where the code has tau in place of the soft maximum and
    max(beta (KL - delta), 0) KL in place of the square.
  """
  if not length_scale > 0:
    raise ValueError(f"drpo.length_scale = {length_scale!r} must be > 0.")
  if not max_length >= 0:
    raise ValueError(f"drpo.max_length = {max_length!r} must be >= 0.")
  rule = contrast.Contrast(
    "drpo", score, tau, beta, delta, estimator, value, threshold
  )
  contrast.check(rule)

  def apply(record, state, context):
    group = context.batch.group
    right, wrong, both = contrast.kinds(rule, record, context)
    longest = max_length or record.mask.shape[1]
    tokens = reduce.row_length(context.batch.mask)
    weight = reduce.group_softmax(
      -tokens / (longest * length_scale), group, right
    )
    scores = contrast.scores(rule, record, context)
    earned = reduce.group_sum(weight * scores, group)
    earned -= contrast.soft_maximum(rule, scores, wrong, group)
    record = contrast.replaced(rule, record, context, earned, both)
    largest = jnp.where(both, reduce.group_max(weight, group), 0.0)
    largest = contrast.mean_of_questions(largest, group)
    used = record.metrics["drpo/used_fraction"]
    metrics = {"drpo/largest_weight": largest / jnp.where(used > 0, used, 1.0)}
    return record.replace(metrics=record.metrics | metrics), state

  return LossTransform("drpo", apply=apply, owns=contrast.OWNS)
