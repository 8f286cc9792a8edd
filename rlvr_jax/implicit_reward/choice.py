"""Choosing among finished responses by an implicit reward."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


def step_rewards(
  log_ratio: Array, ends: Array, mask: Array, coef: float, mode: str = "single"
) -> Array:
  """The reward of each step of a response, at the last token of the step.

  Args:
    log_ratio: f32[B, T] log pi_phi - log pi_ref, nats.
    ends: bool[B, T] last tokens of steps; the last counted one of a response
      ends a step too.
    mask: bool[B, T] counted tokens.
    coef: beta.
    mode: "single" for what the step itself earned, "accumulative" for the sum
      of all steps up to it.

  Returns:
    f32[B, T]; 0 but at ends. In "single" they add up to coef times the
    log-ratio of the response.

  Raises:
    ValueError: an unknown mode.
  """
  if mode not in ("single", "accumulative"):
    raise ValueError(
      f"step_rewards.mode = {mode!r} must be 'single' or 'accumulative'."
    )
  at = (ends & mask) | reduce.last_token(mask)
  total = coef * jnp.cumsum(jnp.where(mask, log_ratio, 0.0), axis=1)
  if mode == "single":
    # The total at the last end before each position, 0 before the first.
    place = jnp.where(at, jnp.arange(at.shape[1]), -1)
    place = jax.lax.cummax(place, axis=1)
    before = jnp.pad(place[:, :-1], [(0, 0), (1, 0)], constant_values=-1)
    known = jnp.take_along_axis(total, jnp.maximum(before, 0), axis=1)
    total = total - jnp.where(before >= 0, known, 0.0)
  return jnp.where(at, total, 0.0)


def response_score(
  rewards: Array, ends: Array, mask: Array, how: str = "min"
) -> Array:
  """The score of a response by those of its steps.

  Args:
    rewards: f32[B, T] of `step_rewards`.
    ends: bool[B, T] as there.
    mask: bool[B, T] as there.
    how: "min" for the worst step, "sum" for all of them.

  Returns:
    f32[B]; 0 for a response without counted tokens.

  Raises:
    ValueError: unknown how.
  """
  if how not in ("min", "sum"):
    raise ValueError(f"response_score.how = {how!r} must be 'min' or 'sum'.")
  at = (ends & mask) | reduce.last_token(mask)
  if how == "sum":
    return jnp.where(at, rewards, 0.0).sum(axis=1)
  worst = jnp.where(at, rewards, jnp.inf).min(axis=1)
  return jnp.where(at.any(axis=1), worst, 0.0)


def best(score: Array, group: Array) -> Array:
  """bool[B]: the first response with the highest score of its group."""
  highest = (group >= 0) & (score == reduce.group_max(score, group))
  rows = jnp.arange(len(score))
  first = -reduce.group_max(-rows.astype(jnp.float32), group, highest)
  return highest & (rows == first)


def votes(score: Array, answer: Array, group: Array) -> Array:
  """f32[B]: sum of sigmoid(score) over the responses with the same answer.

  Args:
    score: f32[B].
    answer: i32[B], equal inside a group if they say the same; -1 for none.
    group: i32[B] in [0, B); -1 joins no group.

  Returns:
    What each response's answer got; 0 without an answer.
  """
  voters = jnp.where(answer < 0, -1, group)
  kin = reduce.subgroup(voters, answer)
  return reduce.group_sum(jax.nn.sigmoid(score), kin)


def first_error(
  rewards: Array, ends: Array, mask: Array, threshold: float = 0.5005
) -> Array:
  """i32[B]: number of the first step that is wrong; -1 if none is.

  Args:
    rewards: f32[B, T] of `step_rewards`.
    ends: bool[B, T] as there.
    mask: bool[B, T] as there.
    threshold: a step is wrong if sigmoid of its reward lies below; 0.5005 for
      coef 0.005.
  """
  at = (ends & mask) | reduce.last_token(mask)
  wrong = at & (jax.nn.sigmoid(rewards) < threshold)
  number = jnp.cumsum(at, axis=1) - 1
  first = jnp.take_along_axis(number, wrong.argmax(axis=1)[:, None], axis=1)
  return jnp.where(wrong.any(axis=1), first[:, 0], -1).astype(jnp.int32)
