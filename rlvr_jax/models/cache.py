"""The keys and values of what rows have read, in blocks of positions.

Shapes: L layers, N blocks of C positions, R rows, K key-value heads, h head
size. The place of a token in the cache is its position in its row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.models.config import DecoderConfig

Array = jax.Array


class Cache(NamedTuple):
  """Keys and values; blocks stand in front, so that one is one piece."""

  keys: Array  # f[L, N, R, K, h, C]
  values: Array  # f[L, N, R, K, C, h]

  @property
  def size(self) -> int:
    """Positions C of a block."""
    return self.values.shape[4]

  def block(self, layer: Array | int, number: Array) -> tuple[Array, Array]:
    """Keys f[R, K, h, C] and values f[R, K, C, h] of a block."""
    return self.keys[layer, number], self.values[layer, number]

  def put(
    self, layer: Array | int, positions: Array, keys: Array, values: Array
  ) -> "Cache":
    """With one more token per row.

    Args:
      layer: that it is of.
      positions: i32[R] of the token in its row.
      keys: f[R, K, h].
      values: f[R, K, h].
    """
    number, place = positions // self.size, positions % self.size
    rows = jnp.arange(len(positions))
    at = layer, number, rows
    one = dict(unique_indices=True)
    return Cache(
      self.keys.at[*at, :, :, place].set(keys, **one),
      self.values.at[*at, :, place].set(values, **one),
    )

  def copied(self, source: "Cache", of: Array, to: Array) -> "Cache":
    """With the first blocks of row `to` those of row `of` of another cache."""

    def one(own, other):
      row = jax.lax.dynamic_slice_in_dim(other, of, 1, axis=2)
      return jax.lax.dynamic_update_slice_in_dim(own, row, to, axis=2)

    return Cache(*map(one, self, source))


def empty(config: DecoderConfig, rows: int, length: int, block: int) -> Cache:
  """Room for rows of so many positions."""
  c, blocks = config, -(-length // block)
  shape = (c.layers, blocks, rows, c.kv_heads)
  return Cache(
    jnp.zeros((*shape, c.head_dim, block), c.dtype),
    jnp.zeros((*shape, block, c.head_dim), c.dtype),
  )


def of_sequences(keys: Array, values: Array, block: int) -> Cache:
  """The cache of whole sequences, as a full pass leaves them.

  Args:
    keys: f[L, R, S, K, h], from position 0 on.
    values: f[L, R, S, K, h].
    block: positions C of a block.
  """
  missing = -keys.shape[2] % block

  def cut(x, axes):
    x = jnp.pad(x, [(0, 0), (0, 0), (0, missing), (0, 0), (0, 0)])
    layers, rows, length, *head = x.shape
    blocks = x.reshape(layers, rows, length // block, block, *head)
    return blocks.transpose(axes)

  return Cache(cut(keys, (0, 2, 1, 4, 5, 3)), cut(values, (0, 2, 1, 4, 3, 5)))
