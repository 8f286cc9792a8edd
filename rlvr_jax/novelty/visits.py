"""The states that responses visit, taken from what is known of every token."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array, TokenBatch


class Visits(NamedTuple):
  """S states of each row, and the states they were reached from.

  Both are 0 where there is none, and None where no features are known.
  """

  points: Array | None  # f32[B, S, D]
  before: Array | None  # f32[B, S, D]
  mask: Array  # bool[B, S]
  reached: Array  # bool[B, S] whether there is a state before
  group: Array  # i32[B] of the rows that visit anything; -1 none

  def mean(self) -> Array:
    """f32[D]: of all states; 0 of none."""
    return self.points.sum(axis=(0, 1)) / jnp.maximum(self.mask.sum(), 1)

  def about(self, centre: Array) -> "Visits":
    """The states less the centre, at length 1."""
    at = lambda x, mask: jnp.where(mask[..., None], _unit(x - centre), 0)
    return self._replace(
      points=at(self.points, self.mask), before=at(self.before, self.reached)
    )


def _unit(x: Array) -> Array:
  square = (x**2).sum(axis=-1, keepdims=True)
  return jnp.where(square > 0, x * jax.lax.rsqrt(square + (square <= 0)), 0)


def whole(batch: TokenBatch, features: Array | None, pool: str) -> Visits:
  """One state per response, reached from the state after the prompt.

  Args:
    batch: rows without a group visit nothing.
    features: f32[B, T, D] of the states that predict the tokens, or None.
    pool: "mean" over the tokens, or the state before the "last".
  """
  mask = batch.mask & (batch.group >= 0)[:, None]
  some = mask.any(axis=1)
  points = before = None
  if features is not None:
    used = mask if pool == "mean" else reduce.last_token(mask)
    total = jnp.where(used[..., None], features, 0).sum(axis=1)
    points = (total / jnp.maximum(used.sum(axis=1), 1)[:, None])[:, None]
    first = jnp.argmax(mask, axis=1)[:, None, None]
    before = jnp.take_along_axis(features, first, axis=1)
    before = jnp.where(some[:, None, None], before, 0)
  group = jnp.where(some, batch.group, -1)
  return Visits(points, before, some[:, None], some[:, None], group)


def along(batch: TokenBatch, features: Array | None, every: int) -> Visits:
  """The states before every so many tokens, each reached from the last one.

  Args:
    batch: rows without a group visit nothing.
    features: f32[B, T, D] of the states that predict the tokens, or None.
    every: counted tokens from one state to the next.
  """
  mask = batch.mask & (batch.group >= 0)[:, None]
  places = jnp.argsort(~mask, axis=1, stable=True)[:, ::every]
  inside = jnp.take_along_axis(mask, places, axis=1)
  reached = inside & (jnp.arange(inside.shape[1]) > 0)
  points = before = None
  if features is not None:
    points = jnp.take_along_axis(features, places[..., None], axis=1)
    points = jnp.where(inside[..., None], points, 0)
    before = jnp.pad(points, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    before = jnp.where(reached[..., None], before, 0)
  group = jnp.where(mask.any(axis=1), batch.group, -1)
  return Visits(points, before, inside, reached, group)


def per_token(x: Array, mask: Array, every: int) -> Array:
  """f32[B, T]: of f32[B, S], what the latest state of `along` has.

  Args:
    x: one number per state; S = 1 is of the whole row.
    mask: bool[B, T] counted tokens.
    every: as of `along`.
  """
  if x.shape[1] == 1:
    return jnp.broadcast_to(x, mask.shape)
  place = jnp.maximum(jnp.cumsum(mask, axis=1) - 1, 0)
  return jnp.take_along_axis(x, place // every, axis=1)
