"""SPEAR: a reward for calls of tools that fades as the run goes on."""

import jax.numpy as jnp

from rlvr_jax import reduce, replayed
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array

COUNTS = ("calls", "turns")
RIGHT = ("count", "any")
SCHEDULES = ("cosine", "constant")


def tool_reward(
  per_call: float = 0.1,
  cap: float = 1.0,
  count: str = "calls",
  right: str = "count",
  schedule: str = "cosine",
  steps: int = 100,
) -> LossTransform:
  """Adds to the reward of a response what its calls of tools earn.

  R' = R + mu(s) min(cap, per_call n), with n the calls of the response and
  mu(s) = (1 + cos(pi s / steps)) / 2 at step s, 0 beyond: skills are found
  first, and then only what solves the task counts. A call is a turn of the
  policy with another one behind it. Responses of one turn earn nothing. Stand
  before the advantage estimator.

  Edits:   batch.reward (+)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: cap = 0 with right = "count"

  Args:
    per_call: reward of one call, >= 0; 0.1.
    cap: the most that a response earns, >= 0; 1.
    count: "calls", or "turns" to count the last turn too, as for environments
      in which each turn is an action (verl-agent).
    right: what responses of positive reward earn: "count" as the others, "any"
      mu(s) for at least one call, however many (Qwen3).
    schedule: "cosine", or "constant" for mu = 1, with which calls do not end.
    steps: until mu is 0, >= 1; 100, for mathematics 200. Not read by
      "constant".

  Returns:
    A LossTransform named "tool_reward".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    tool_reward/calls: mean n of the rows with a group.
    tool_reward/bonus: mean of R' - R of the same rows, unit of the reward.
    tool_reward/coef: mu.

  Source:
    Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
    Exploration for Agentic Reinforcement Learning (SPEAR), arXiv 2509.22601.
    Code: TencentYoutuResearch/SPEAR.
    Differs from that code: it counts the turns in which a call was read, here
    every turn but the last holds one; steps count from 0, there from 1.
  """
  given = {
    "count": (count, COUNTS),
    "right": (right, RIGHT),
    "schedule": (schedule, SCHEDULES),
  }
  for name, (value, allowed) in given.items():
    if value not in allowed:
      raise ValueError(f"tool_reward.{name} = {value!r} must be in {allowed}.")
  least = {"per_call": (per_call, 0), "cap": (cap, 0), "steps": (steps, 1)}
  for name, (value, bound) in least.items():
    if not value >= bound:
      raise ValueError(f"tool_reward.{name} = {value} must be >= {bound}.")

  def coef(step):
    return replayed.falling(step, steps) if schedule == "cosine" else 1.0

  def prepare(batch, state, context):
    rows = batch.group >= 0
    last = 1 if count == "calls" else 0
    turns = reduce.row_turns(batch.turn, batch.mask)
    calls = jnp.maximum(turns - last, 0)
    strength = jnp.float32(coef(context.step))
    earned = strength * bonus(calls, batch.reward, per_call, cap, right)
    earned = jnp.where(rows, earned, 0)
    metrics = {
      "tool_reward/calls": reduce.masked_mean(calls, rows),
      "tool_reward/bonus": reduce.masked_mean(earned, rows),
      "tool_reward/coef": strength,
    }
    return batch.replace(
      reward=batch.reward + earned, metrics=batch.metrics | metrics
    ), state

  return LossTransform("tool_reward", prepare=prepare)


def bonus(
  calls: Array, outcome: Array, per_call: float, cap: float, right: str
) -> Array:
  """f32[B]: what calls earn before the schedule.

  Args:
    calls: f32[B] of tools.
    outcome: f32[B] reward of the task.
    per_call: reward of one call.
    cap: the most that a response earns.
    right: "count" or "any", of responses of positive reward.
  """
  counted = jnp.minimum(cap, per_call * calls)
  if right == "count":
    return counted
  return jnp.where(outcome > 0, (calls > 0).astype(jnp.float32), counted)
