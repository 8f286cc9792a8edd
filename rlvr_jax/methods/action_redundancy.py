"""A bonus for rare answers: entropy of outcomes, not of wording."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.notes import ANSWER
from rlvr_jax.transform import LossTransform

CHOICES = {
  "gate": ("half", "wrong", "all"),
  "estimator": ("leave_one_out", "plug_in"),
}


def action_redundancy(
  coef: float = 0.05,
  gate: str = "half",
  estimator: str = "leave_one_out",
  smoothing: float = 1.0,
  threshold: float = 0.0,
) -> LossTransform:
  """Rewards a response by how rare its final answer is in its group.

  Responses with the same answer are redundant, whatever their wording. With n
  of the G responses of a group giving the answer of response i, K answers in
  the group and s = smoothing:
    reward += coef (b - mean b)      b = -log p(answer)
    leave_one_out  p = (n - 1 + s) / (G - 1 + s K)
    plug_in        p = n / G; the mean of b is the entropy of the answers
  The means are over the responses of the group that get the bonus. No answer
  is an answer like any other. Stand before the advantage estimator; one that
  divides by the deviation makes the bonus of a group without other differences
  as large as a reward, whatever coef is.

  Edits:   batch.reward (+)
  Needs:   answers, at rollout
  State:   none
  Scope:   group
  Neutral: coef = 0

  Args:
    coef: unit of the reward per nat, >= 0; 0.05.
    gate: who gets it: "half", all responses of groups of which less than half
      are right; "wrong", wrong responses, as a spread of errors; "all".
      Ungated, agreement on the truth is penalised.
    estimator: "leave_one_out" or "plug_in".
    smoothing: s of "leave_one_out", > 0; 1.
    threshold: rows with a larger reward are right; 0.

  Returns:
    A LossTransform named "action_redundancy".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    action_redundancy/answer_entropy: plug-in entropy of the answers, nats,
      mean over the rows with a group.
    action_redundancy/redundancy: mean log n, nats; the two add up to mean
      log G.
    action_redundancy/gated_fraction: share of those rows with a bonus.

  Source:
    Baram et al., Action Redundancy in Reinforcement Learning, arXiv
    2102.11329, whose transition entropy this carries over to answers: the
    action is a response, the next state its answer. Code: none released.
    Differs from that code: none to compare with; bonus, gate and numbers are
    ours.
  """
  for name, value in (("gate", gate), ("estimator", estimator)):
    if value not in CHOICES[name]:
      raise ValueError(
        f"action_redundancy.{name} = {value!r} must be in {CHOICES[name]}."
      )
  if not coef >= 0:
    raise ValueError(f"action_redundancy.coef = {coef} must be >= 0.")
  if not smoothing > 0:
    raise ValueError(f"action_redundancy.smoothing = {smoothing} must be > 0.")

  def chance(same, size, answers):
    if estimator == "plug_in":
      return same / size
    return (same - 1 + smoothing) / (size - 1 + smoothing * answers)

  def gated(batch):
    right = batch.reward > threshold
    if gate == "half":
      share = reduce.group_mean(right.astype(jnp.float32), batch.group)
      return share < 0.5
    return ~right if gate == "wrong" else jnp.ones_like(right)

  def prepare(batch, state, context):
    group, live = batch.group, batch.group >= 0
    answer = reduce.subgroup(group, context.stat(ANSWER))
    same, size = reduce.group_count(answer), reduce.group_count(group)
    # Rows without a group are in none of the sums; 1 keeps them finite.
    same, size = jnp.where(live, same, 1.0), jnp.where(live, size, 1.0)
    answers = jnp.maximum(jnp.round(reduce.group_sum(1 / same, group)), 1.0)
    on = live & gated(batch)
    inner = jnp.where(on, group, -1)
    nats = -jnp.log(chance(same, size, answers))
    bonus = jnp.where(on, nats - reduce.group_mean(nats, inner), 0.0)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), live)
    metrics = {
      "action_redundancy/answer_entropy": mean(jnp.log(size / same)),
      "action_redundancy/redundancy": mean(jnp.log(same)),
      "action_redundancy/gated_fraction": mean(on),
    }
    return batch.replace(
      reward=batch.reward + coef * bonus, metrics=batch.metrics | metrics
    ), state

  return LossTransform("action_redundancy", prepare=prepare, needs=(ANSWER,))
