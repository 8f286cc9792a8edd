"""Reductions along the counted tokens of each row."""

import jax
import jax.numpy as jnp

Array = jax.Array


def row_length(mask: Array) -> Array:
  """f32[B]: counted tokens of each row."""
  return mask.astype(jnp.float32).sum(axis=1)


def row_mean(x: Array, mask: Array) -> Array:
  """f32[B]: mean of x over the counted tokens of each row; 0 if none."""
  total = jnp.where(mask > 0, x, 0).sum(axis=1)
  return total / jnp.maximum(row_length(mask > 0), 1)


def row_softmax(x: Array, mask: Array) -> Array:
  """f32[B, T]: exp(x) of each counted token as a share of its row; 0 else."""
  counted = mask > 0
  highest = jnp.where(counted, x, -jnp.inf).max(axis=1, keepdims=True)
  highest = jax.lax.stop_gradient(jnp.where(highest > -jnp.inf, highest, 0))
  powers = jnp.where(counted, jnp.exp(jnp.where(counted, x - highest, 0)), 0)
  total = powers.sum(axis=1, keepdims=True)
  return powers / jnp.where(total > 0, total, 1)


def last_token(mask: Array) -> Array:
  """bool[B, T]: the last counted position of each row; none if empty."""
  later = jnp.cumsum(mask[:, ::-1].astype(jnp.int32), axis=1)[:, ::-1]
  return (mask > 0) & (later == 1)


def row_turns(turn: Array, mask: Array) -> Array:
  """f32[B]: how many turns of each row hold a counted token.

  Args:
    turn: i32[B, T] turn of the conversation, >= 0, not falling along a row.
    mask: bool[B, T] counted tokens.
  """
  counted = jnp.where(mask > 0, turn, -1)
  before = jnp.pad(counted[:, :-1], [(0, 0), (1, 0)], constant_values=-1)
  return row_length(counted > jax.lax.cummax(before, axis=1))


def returns_to_go(rewards: Array, mask: Array, gamma: float = 1.0) -> Array:
  """Discounted sum of the rewards from each counted token on.

  Positions that do not count earn nothing and take no time, so a return is
  carried undiscounted over a gap between two turns.

  Args:
    rewards: f32[B, T] one reward per token.
    mask: bool[B, T] counted tokens.
    gamma: discount per counted token.

  Returns:
    f32[B, T]; 0 where nothing counts.
  """
  counted = mask > 0

  def join(later, now):
    # Composition of the affine maps y -> earned + discount * y.
    return later[0] * now[0], now[1] + now[0] * later[1]

  steps = jnp.where(counted, gamma, 1.0), jnp.where(counted, rewards, 0.0)
  _, sums = jax.lax.associative_scan(join, steps, reverse=True, axis=1)
  return jnp.where(counted, sums, 0.0)


def gae(
  rewards: Array,
  values: Array,
  mask: Array,
  gamma: float = 1.0,
  decay: float = 1.0,
) -> Array:
  """Generalized advantage estimates of given values.

  A_t = d_t + gamma decay A_t', d_t = r_t + gamma V_t' - V_t, with t' the next
  counted token; behind the last one both are 0. Positions that do not count
  earn nothing and take no time.

  Args:
    rewards: f32[B, T] one reward per token.
    values: f32[B, T] expected return before each token; anything at masked
      positions.
    mask: bool[B, T] counted tokens.
    gamma: discount per counted token.
    decay: lambda; 1 gives returns minus values, 0 the one-step errors d.

  Returns:
    f32[B, T]; 0 where nothing counts.
  """
  counted = mask > 0
  values = jnp.where(counted, values, 0.0)

  def join(later, now):
    return later[0] | now[0], jnp.where(now[0], now[1], later[1])

  # The value of the first counted token from each position on.
  _, carried = jax.lax.associative_scan(
    join, (counted, values), reverse=True, axis=1
  )
  following = jnp.pad(carried[:, 1:], [(0, 0), (0, 1)])
  errors = rewards + gamma * following - values
  return returns_to_go(errors, mask, gamma * decay)
