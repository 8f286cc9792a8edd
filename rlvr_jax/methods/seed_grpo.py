"""SEED-GRPO: smaller advantages where the answers of a group differ."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.notes import ANSWER
from rlvr_jax.transform import LossTransform

SHAPES = ("linear", "exponential", "focal", "reciprocal")
MASSES = ("count", "logprob")
ESTIMATORS = ("shannon", "mc")


def seed_grpo(
  coef: float = 0.5,
  shape: str = "linear",
  power: float = 2.0,
  mass: str = "count",
  estimator: str = "shannon",
) -> LossTransform:
  """Scales the advantages of a group by how much its answers agree.

  A' = A f(a x) with a = coef, x = SE / log G in [0, 1] and SE the entropy of
  the answers of a group of G, p_k the mass of answer k:
    shannon  SE = -sum_k p_k log p_k
    mc       SE = -(1/K) sum_k log p_k over the K answers
  All rows of a group share one factor, so their sum stays what it was. A row
  without an answer has one of its own. Stand behind dr_grpo.

  Edits:   batch.advantages (×)
  Needs:   note of the answers at rollout
  State:   none
  Scope:   group
  Neutral: coef = 0

  Args:
    coef: strength a, >= 0, <= 1 for "linear" and "focal"; 0.5, where 1 would
      silence groups without two equal answers; 0.0417 in the port.
    shape: f(y) is "linear" 1 - y, "exponential" exp(-y), "focal"
      (1 - y)^power, or "reciprocal" 1 / (1 + y), as in the port.
    power: exponent of "focal", > 0; 2.
    mass: "count", share of the rows; "logprob" (port), share of exp(mean
      log-prob of the tokens at sampling), the port's length-normalised form.
    estimator: "shannon" (port) or "mc", the paper's as told by summaries, at
      least log K and cut off at log G.

  Returns:
    A LossTransform named "seed_grpo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    seed_grpo/factor: mean of f over the rows with a group.
    seed_grpo/semantic_entropy: mean of SE over these, nats.
    seed_grpo/answers: mean of K over these.

  Source:
    SEED-GRPO: Semantic Entropy Enhanced GRPO for Uncertainty-Aware Policy
    Optimization, arXiv 2505.12346. Code: Dreamer312/SEED-GRPO announces it.
    Differs from that code: there is none to compare with; the shapes are our
    closed forms of the named families. Answers are equal as the verifier says,
    in a third-party port as texts.
  """
  chosen = {
    "shape": (shape, SHAPES),
    "mass": (mass, MASSES),
    "estimator": (estimator, ESTIMATORS),
  }
  for name, (value, known) in chosen.items():
    if value not in known:
      raise ValueError(f"seed_grpo.{name} = {value!r} must be in {known}.")
  highest = 1.0 if shape in ("linear", "focal") else float("inf")
  if not 0 <= coef <= highest:
    raise ValueError(
      f"seed_grpo.coef = {coef} must lie in [0, {highest}] with shape "
      f"{shape!r}."
    )
  if not power > 0:
    raise ValueError(f"seed_grpo.power = {power} must be > 0.")
  factor = {
    "linear": lambda y: 1 - y,
    "exponential": lambda y: jnp.exp(-y),
    "focal": lambda y: (1 - y) ** power,
    "reciprocal": lambda y: 1 / (1 + y),
  }[shape]

  def shares(batch):
    """f32[B]: what each row is of the mass of its group."""
    group = batch.group
    if mass == "count":
      return 1 / jnp.maximum(reduce.group_count(group), 1)
    likely = reduce.row_mean(batch.old_logp, batch.mask)
    return reduce.group_softmax(likely, group, group >= 0)

  def prepare(batch, state, context):
    group, answer = batch.group, context.stat(ANSWER)
    alone = -1 - jnp.arange(len(answer), dtype=answer.dtype)
    same = reduce.subgroup(group, jnp.where(answer < 0, alone, answer))
    p = reduce.group_sum(shares(batch), same)
    log_p = jnp.log(jnp.where(p > 0, p, 1))
    each = 1 / jnp.maximum(reduce.group_count(same), 1)  # of an answer's rows
    answers = reduce.group_sum(each, group)
    if estimator == "shannon":
      entropy = reduce.group_sum(-each * p * log_p, group)
    else:
      entropy = reduce.group_sum(-each * log_p, group)
      entropy /= jnp.maximum(answers, 1)
    most = jnp.log(jnp.maximum(reduce.group_count(group), 1))
    spread = entropy / jnp.where(most > 0, most, 1)
    weight = factor(coef * jnp.clip(spread, 0, 1))
    mean = lambda x: reduce.masked_mean(x, group >= 0)
    metrics = {
      "seed_grpo/factor": mean(weight),
      "seed_grpo/semantic_entropy": mean(entropy),
      "seed_grpo/answers": mean(answers),
    }
    return batch.replace(
      advantages=batch.advantages * weight[:, None],
      metrics=batch.metrics | metrics,
    ), state

  return LossTransform("seed_grpo", prepare=prepare, needs=(ANSWER,))
