"""Right answers against wrong ones, question by question: DisCO and its kin.

A question with right answers P and wrong answers N earns

  sum_P w s - tau log mean_N exp(s / tau)

with s the score of a response and weights w that add up to 1 over P. The loss
is minus the mean over all questions, plus a penalty on the divergence of the
policy from the one that sampled.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.types import Array, Context, Objective

SCORES = ("logp", "ratio")
ESTIMATORS = ("k1", "k3")
VALUES = ("true", "code")
OWNS = ("surrogate", "clip_low", "clip_high")


class Contrast(NamedTuple):
  """What the objectives of this kind have in common."""

  name: str  # of the method
  score: str  # "logp" or "ratio", of which s is the mean over tokens
  tau: float  # unit of the score
  beta: float  # per nat^2
  delta: float  # nats of divergence that are free
  estimator: str  # of the divergence, "k1" or "k3"
  value: str  # "true", or "code": another value of the same gradient
  threshold: float  # rows with a larger reward are right


class Kinds(NamedTuple):
  """Which rows are what; those without counted tokens are neither."""

  right: Array  # bool[B]
  wrong: Array  # bool[B]
  both: Array  # bool[B] rows of questions with right and wrong answers


def check(rule: Contrast) -> None:
  """Raises a ValueError that names what is out of range."""
  for field, known in (
    ("score", SCORES),
    ("estimator", ESTIMATORS),
    ("value", VALUES),
  ):
    given = getattr(rule, field)
    if given not in known:
      raise ValueError(f"{rule.name}.{field} = {given!r} must be in {known}.")
  if not rule.tau > 0:
    raise ValueError(f"{rule.name}.tau = {rule.tau!r} must be > 0.")
  for field in ("beta", "delta"):
    given = getattr(rule, field)
    if not given >= 0:
      raise ValueError(f"{rule.name}.{field} = {given!r} must be >= 0.")


def kinds(rule: Contrast, record: Objective, context: Context) -> Kinds:
  """Which rows are right, wrong, and of questions with both."""
  counted = (record.mask > 0).any(axis=1)
  right = counted & (context.batch.reward > rule.threshold)
  wrong = counted & ~right
  found = lambda kind: count(kind, context.batch.group) > 0
  return Kinds(right, wrong, found(right) & found(wrong))


def count(kind: Array, group: Array) -> Array:
  """f32[B]: rows of a kind in each row's group."""
  return reduce.group_sum(kind.astype(jnp.float32), group)


def scores(rule: Contrast, record: Objective, context: Context) -> Array:
  """f32[B]: s, differentiable."""
  logp = record.log_ratio + context.batch.old_logp
  each = logp if rule.score == "logp" else objective.ratio(record)
  return reduce.row_mean(each, record.mask)


def soft_maximum(
  rule: Contrast, score: Array, wrong: Array, group: Array
) -> Array:
  """f32[B]: tau log mean_N exp(s / tau) of each row's question."""
  total = reduce.group_logsumexp(score / rule.tau, group, wrong)
  below = rule.tau * (total - jnp.log(jnp.maximum(count(wrong, group), 1)))
  if rule.value == "code":
    below = rule.tau + below - jax.lax.stop_gradient(below)
  return below


def mean_of_questions(x: Array, group: Array) -> Array:
  """f32[]: mean of x f32[B], which is equal inside each group."""
  share = x / jnp.maximum(reduce.group_count(group), 1)
  return share.sum() / jnp.maximum(reduce.group_total(group), 1)


def replaced(
  rule: Contrast,
  record: Objective,
  context: Context,
  earned: Array,
  both: Array,
) -> Objective:
  """The record with this objective in place of the policy loss.

  Args:
    rule: the hyper-parameters.
    record: of the minibatch.
    context: of the hook.
    earned: f32[B] what the question of each row earns if it has both kinds.
    both: bool[B] whether it has.

  Returns:
    An Objective, with the metrics contrast, used_fraction, kl and over_delta.
  """
  group = context.batch.group
  total = mean_of_questions(jnp.where(both, earned, 0.0), group)
  kl = objective.divergence(record, rule.estimator)
  excess = jnp.maximum(kl - rule.delta, 0.0)
  penalty = rule.beta / 2 * excess**2
  if rule.value == "code":
    penalty = rule.beta * jax.lax.stop_gradient(excess) * kl
  metrics = {
    f"{rule.name}/contrast": total,
    f"{rule.name}/used_fraction": mean_of_questions(both, group),
    f"{rule.name}/kl": kl,
    f"{rule.name}/over_delta": (kl > rule.delta).astype(jnp.float32),
  }
  return record.replace(
    extra=record.extra - total + penalty,
    clip_low=jnp.zeros_like(record.clip_low),
    clip_high=jnp.full_like(record.clip_high, jnp.inf),
    surrogate=objective.nothing,
    metrics=record.metrics | metrics,
  )
