"""EPO: an entropy bonus with a corridor around the entropy of the past."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

CHOICES = {
  "form": ("hinge", "indicator"),
  "schedule": ("paper", "code", "constant"),
  "level": ("token", "row"),
}
ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")


class EpoState(NamedTuple):
  """Entropies of the past, per turn if there is a history for each."""

  total: Array  # f32[S] nats, sum over steps of their mean entropies
  count: Array  # f32[S] steps in that sum
  reference: Array  # f32[S] nats, in force since the last prepare
  known: Array  # bool[S] whether there is a reference


def epo(
  coef: float = 1e-3,
  penalty: float = 0.1,
  low: float = 0.0,
  high: float = 2.0,
  form: str = "hinge",
  schedule: str = "paper",
  gamma: float = 3.0,
  steps: int = 150,
  level: str = "token",
  turns: int | None = None,
  include_current: bool = False,
) -> LossTransform:
  """Adds the entropy of the policy, less where it leaves a corridor.

  loss per token -= coef (H - beta penalty P), with
  P = max(low R - H, 0) + max(H - high R, 0) and R the mean of the mean rollout
  entropies of all earlier steps; P = 0 in the first step. beta falls over the
  steps: 1 + exp(-gamma step / (steps // 2)).

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update and at rollout
  State:   total f32[S], count f32[S], reference f32[S] nats and known bool[S],
           S = turns or 1, set at prepare
  Scope:   token, or sequence if level is "row"; the reference is of the run
  Neutral: coef = 0

  The paper averages over the tokens of each response first, which is the
  aggregation "seq-mean-token-mean"; its code uses that of the policy loss.

  Args:
    coef: weight of the whole term, per nat, >= 0; 1e-3.
    penalty: weight of P relative to H, >= 0; 0.1 (ALFWorld), 0.05
      (ScienceWorld). Above the corridor H still counts 1 - beta penalty.
    low: lower edge of the corridor over R, >= 0; 0, in the appendix 0.5.
    high: upper edge over R, >= low; 2, in the appendix 1.5.
    form: of P, "hinge" as above (later version of the paper), or "indicator",
      1 outside the corridor (first version, code), which has no gradient.
    schedule: of beta, "paper" as above; "code" falls from 1 to 0.83 up to the
      middle, then from 0.8 to 0.04; "constant" 1.
    gamma: speed of the schedule "paper", >= 0; 3.
    steps: of the whole run, >= 2; 125 or 150.
    level: compares the entropy of each "token", or the mean of its "row".
    turns: None for one history of all tokens; n for one of each of the first n
      turns of a conversation (code), the last one also of those after, >= 1.
    include_current: the current step's rollout belongs to R too (code).

  Returns:
    A LossTransform named "epo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    epo/entropy: mean H of the counted tokens, nats.
    epo/reference: mean R of the counted tokens, nats; 0 in the first step.
    epo/outside_fraction: share of the counted tokens outside the corridor.
    epo/schedule: beta.

  Source:
    Xu et al., EPO: Entropy-regularized Policy Optimization for LLM Agents
    Reinforcement Learning, arXiv 2509.22576, equations 2-6. Code:
    WujiangXu/EPO, a fork of verl-agent.
    Differs from that code: the code has the indicator, a history per turn with
    the current step in it, and no penalty before half of the turns are over. A
    turn that a step never reaches adds nothing to its history, there a zero; a
    row's mean does not count padding. 150 steps are fixed there. Not offered:
    the zeros, which pull the reference down by however long episodes are, and
    the half of the turns, which is counted per micro-batch with a limit of 50
    turns from a key that its configuration lacks.
  """
  given = {"form": form, "schedule": schedule, "level": level}
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(f"epo.{name} = {value!r} must be in {CHOICES[name]}.")
  numbers = {"coef": coef, "penalty": penalty, "low": low, "gamma": gamma}
  for name, value in numbers.items():
    if not value >= 0:
      raise ValueError(f"epo.{name} = {value} must be >= 0.")
  if not high >= low:
    raise ValueError(f"epo.high = {high} must be >= low = {low}.")
  if steps < 2:
    raise ValueError(f"epo.steps = {steps} must be >= 2.")
  if turns is not None and turns < 1:
    raise ValueError(f"epo.turns = {turns} must be None or >= 1.")
  slots = turns or 1

  def slot(batch):
    return jnp.clip(batch.turn, 0, slots - 1)

  def beta(step):
    if schedule == "constant":
      return jnp.float32(1.0)
    half = steps // 2
    if schedule == "paper":
      return 1 + jnp.exp(-gamma * step / half)
    step = jnp.clip(step, 0, steps).astype(jnp.float32)
    first = 1 - 0.2 * (1 - jnp.exp(-2 * step / half))
    second = 0.8 * jnp.exp(-3 * (step - half) / (steps - half))
    return jnp.where(step <= half, first, second)

  def outside(nats, reference):
    below, above = low * reference, high * reference
    inside = (nats > below) & (nats < above)
    if form == "indicator":
      return jnp.where(inside, 0.0, 1.0), ~inside
    under = jnp.where(nats < below, below - nats, 0.0)
    return under + jnp.where(nats > above, nats - above, 0.0), ~inside

  def init(example):
    del example
    zero = jnp.zeros(slots, jnp.float32)
    return EpoState(zero, zero, zero, jnp.zeros(slots, bool))

  def prepare(batch, state, context):
    counted = batch.mask & (batch.source == 0)[:, None]
    by_slot = lambda x: jax.ops.segment_sum(
      jnp.where(counted, x, 0.0).reshape(-1), slot(batch).reshape(-1), slots
    )
    nats = context.stat(ROLLOUT_ENTROPY)
    tokens = by_slot(jnp.ones_like(nats))
    mean = by_slot(nats) / jnp.maximum(tokens, 1)
    total = state.total + mean
    count = state.count + jnp.where(tokens > 0, 1.0, 0.0)
    then = (total, count) if include_current else (state.total, state.count)
    reference = then[0] / jnp.maximum(then[1], 1)
    return batch, EpoState(total, count, reference, then[1] > 0)

  def apply(objective, state, context):
    entropy, batch = context.stat(ENTROPY), context.batch
    nats = entropy
    if level == "row":
      nats = jnp.broadcast_to(
        reduce.row_mean(entropy, batch.mask)[:, None], entropy.shape
      )
    reference = state.reference[slot(batch)]
    known = state.known[slot(batch)]
    strength = beta(context.step)
    excess, out = outside(nats, reference)
    excess = jnp.where(known, strength * penalty * excess, 0.0)
    mean = lambda x: reduce.masked_mean(
      x.astype(jnp.float32), objective.mask > 0
    )
    metrics = {
      "epo/entropy": mean(entropy),
      "epo/reference": mean(reference),
      "epo/outside_fraction": mean(known & out),
      "epo/schedule": strength,
    }
    return objective.replace(
      added=objective.added - coef * (entropy - excess),
      metrics=objective.metrics | metrics,
    ), state

  needs = (ENTROPY, ROLLOUT_ENTROPY)
  return LossTransform("epo", init, apply, prepare, needs=needs)
