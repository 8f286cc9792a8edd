"""Rows of a ring drawn and put behind those of a rollout."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.replayed.ring import Ring
from rlvr_jax.types import Array, TokenBatch


def drawn(
  ring: Ring, good: Array, most: Array | int, rows: int, key: Array
) -> TokenBatch:
  """Random rows of a ring; those that are none are masked.

  As many are drawn as the largest power of two says that is no more than the
  good ones, and at most `most`.

  Args:
    ring: of rows.
    good: bool[C] which may be drawn.
    most: i32[] how many.
    rows: R that are handed back, at most C.
    key: of the dice.

  Returns:
    [R, ...]: the drawn rows, then others without counted tokens.
  """
  whole = good.sum(dtype=jnp.int32)
  power = 31 - jax.lax.clz(jnp.maximum(whole, 1))
  count = jnp.where(whole > 0, jnp.left_shift(jnp.int32(1), power), 0)
  dice = jax.random.uniform(key, good.shape)
  chosen = reduce.top_mask(dice, good, jnp.minimum(count, most))
  order = jnp.argsort(~chosen, stable=True)[:rows]
  found = ring.rows.take(order)
  return found.replace(mask=found.mask & chosen[order][:, None])


def padded(batch: TokenBatch, width: int) -> TokenBatch:
  """Prompts padded on the left to so many positions."""
  extra = width - batch.prompt_mask.shape[1]
  wider = lambda x: jnp.pad(x, [(0, 0), (extra, 0)])
  return batch.replace(
    tokens=wider(batch.tokens), prompt_mask=wider(batch.prompt_mask)
  )


def widened(batch: TokenBatch, replay: TokenBatch) -> TokenBatch:
  """A rollout with replayed rows behind its own.

  Args:
    batch: of the step.
    replay: rows with the same statistics and notes.
  """
  if batch.parent is not None:
    none = jnp.full_like(replay.group, -1)
    replay = replay.replace(parent=none, copied=jnp.zeros_like(none))
  join = lambda *x: jnp.concatenate(x)
  both = batch.replace(metrics={}), replay.replace(metrics={})
  return jax.tree.map(join, *both).replace(metrics=batch.metrics)
