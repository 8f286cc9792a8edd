"""Rows of earlier rollouts, the newest in the places of the oldest."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, TokenBatch


class Ring(NamedTuple):
  """Rows that may be replayed."""

  rows: TokenBatch  # [C, ...] without prompt, group, parent and metrics
  born: Array  # i32[C] step that a row was sampled in; -1 where there is none
  next: Array  # i32[] place of the next row

  @classmethod
  def empty(cls, example: TokenBatch, capacity: int) -> "Ring":
    """Room for rows like those of an example.

    Args:
      example: of a rollout with all its statistics and notes, arrays or
        ShapeDtypeStructs.
      capacity: rows C.
    """
    blank = lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype)
    rows = jax.tree.map(blank, example.replace(metrics={}))
    rows = rows.replace(score_temperature=jnp.ones_like(rows.reward))
    none = jnp.full(capacity, -1, jnp.int32)
    return cls(_replay(rows), none, jnp.zeros((), jnp.int32))

  @property
  def live(self) -> Array:
    """bool[C]: places that hold a row."""
    return self.born >= 0

  def without_old(self, max_age: int) -> "Ring":
    """Without rows more than so many steps older than the newest one."""
    old = self.born.max() - self.born > max_age
    return self._replace(born=jnp.where(old, -1, self.born))

  def with_rows(self, batch: TokenBatch, kept: Array, step: Array) -> "Ring":
    """The ring after some rows of a rollout were stored.

    Of more rows than it has places the last ones are.

    Args:
      batch: as wide as the rows of the ring.
      kept: bool[B] which rows.
      step: i32[] they were sampled in.
    """
    capacity, number = len(self.born), jnp.cumsum(kept, dtype=jnp.int32)
    kept &= number > number[-1] - capacity
    place = jnp.where(kept, (self.next + number - 1) % capacity, capacity)
    put = lambda old, new: old.at[place].set(new, mode="drop")
    rows = jax.tree.map(put, self.rows, _replay(batch.replace(metrics={})))
    following = (self.next + number[-1]) % capacity
    return Ring(rows, put(self.born, step), following)


def _replay(batch: TokenBatch) -> TokenBatch:
  """Rows that answer no prompt of the step and join no group or tree of it."""
  none = jnp.full_like(batch.group, -1)
  return batch.replace(
    prompt=none, group=none, source=none, parent=None, copied=None
  )
