"""DRPO: DisCO in which short right answers weigh more than long ones."""

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.transform import LossTransform

SCORES = ("logp", "ratio")
ESTIMATORS = ("k1", "k3")
VALUES = ("true", "code")


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
  for name, given, known in (
    ("score", score, SCORES),
    ("estimator", estimator, ESTIMATORS),
    ("value", value, VALUES),
  ):
    if given not in known:
      raise ValueError(f"drpo.{name} = {given!r} must be in {known}.")
  for name, number in (("length_scale", length_scale), ("tau", tau)):
    if not number > 0:
      raise ValueError(f"drpo.{name} = {number!r} must be > 0.")
  for name, number in (
    ("max_length", max_length),
    ("beta", beta),
    ("delta", delta),
  ):
    if not number >= 0:
      raise ValueError(f"drpo.{name} = {number!r} must be >= 0.")

  def kinds(record, context):
    """bool[B] right and wrong rows that count, bool[B] of questions."""
    counted = (record.mask > 0).any(axis=1)
    right = counted & (context.batch.reward > threshold)
    wrong = counted & ~right
    found = lambda kind: (
      reduce.group_sum(kind.astype(jnp.float32), context.batch.group) > 0
    )
    return right, wrong, found(right) & found(wrong)

  def weights(record, context, right):
    longest = max_length or record.mask.shape[1]
    tokens = reduce.row_length(context.batch.mask)
    short = -tokens / (longest * length_scale)
    return reduce.group_softmax(short, context.batch.group, right)

  def contrast(record, context, right, wrong, weight):
    """f32[B]: what the question of each row earns."""
    group = context.batch.group
    logp = record.log_ratio + context.batch.old_logp
    each = logp if score == "logp" else objective.ratio(record)
    scores = reduce.row_mean(each, record.mask > 0)
    count = reduce.group_sum(wrong.astype(jnp.float32), group)
    total = reduce.group_logsumexp(scores / tau, group, wrong)
    below = tau * (total - jnp.log(jnp.maximum(count, 1)))
    if value == "code":
      below = tau + below - jax.lax.stop_gradient(below)
    return reduce.group_sum(weight * scores, group) - below

  def constraint(kl):
    excess = jnp.maximum(kl - delta, 0.0)
    if value == "code":
      return beta * jax.lax.stop_gradient(excess) * kl
    return beta / 2 * excess**2

  def apply(record, state, context):
    group = context.batch.group
    right, wrong, both = kinds(record, context)
    weight = weights(record, context, right)
    earned = contrast(record, context, right, wrong, weight)
    earned = jnp.where(both, earned, 0.0)
    share = 1 / jnp.maximum(reduce.group_count(group), 1)
    questions = jnp.maximum(reduce.group_total(group), 1)
    mean = lambda x: (share * x).sum() / questions
    largest = jnp.where(both, reduce.group_max(weight, group), 0.0)
    used, kl = mean(both), objective.divergence(record, estimator)
    metrics = {
      "drpo/contrast": mean(earned),
      "drpo/used_fraction": used,
      "drpo/largest_weight": mean(largest) / jnp.where(used > 0, used, 1.0),
      "drpo/kl": kl,
      "drpo/over_delta": (kl > delta).astype(jnp.float32),
    }
    return record.replace(
      extra=record.extra - mean(earned) + constraint(kl),
      clip_low=jnp.zeros_like(record.clip_low),
      clip_high=jnp.full_like(record.clip_high, jnp.inf),
      surrogate=objective.nothing,
      metrics=record.metrics | metrics,
    ), state

  return LossTransform(
    "drpo", apply=apply, owns=("surrogate", "clip_low", "clip_high")
  )
