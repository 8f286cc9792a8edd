"""The keys and values of what rows have read, in pieces by position.

The place of a token in the cache is its position in its row. A piece is an
array of its own, so that attention reads it where it lies.

Shapes: l layers of a stack, R rows, K key-value heads, h head size, C positions
of a piece.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.models.config import DecoderConfig

Array = jax.Array


class Piece(NamedTuple):
  """Some positions of all rows, of a stack of layers."""

  keys: Array  # f[l, R, K, h, C]
  values: Array  # f[l, R, K, C, h]

  @property
  def size(self) -> int:
    """Positions C."""
    return self.keys.shape[-1]

  def of(self, layer: Array | int) -> tuple[Array, Array]:
    """Keys f[R, K, h, C] and values f[R, K, C, h] of a layer of the stack."""
    return self.keys[layer], self.values[layer]

  def put(
    self, layer: Array | int, place: Array, keys: Array, values: Array
  ) -> "Piece":
    """With tokens f[R, K, h] at places i32[R]; one outside is left out."""
    at = layer, jnp.arange(len(place))
    place = jnp.where(place < 0, self.size, place)  # Else from the end.
    how = dict(unique_indices=True, mode="drop")
    return Piece(
      self.keys.at[*at, :, :, place].set(keys, **how),
      self.values.at[*at, :, place].set(values, **how),
    )


class Cache(NamedTuple):
  """All pieces, by stack of layers and by position."""

  stacks: tuple[tuple[Piece, ...], ...]

  @property
  def begins(self) -> tuple[int, ...]:
    """The first position of every piece, and how many there are of all."""
    sizes = (piece.size for piece in self.stacks[0])
    return tuple(itertools.accumulate(sizes, initial=0))

  def of(self, layer: Array | int) -> tuple[tuple[Piece, ...], Array | int]:
    """The pieces of a layer's stack, and its number there."""
    if len(self.stacks) == 1:
      return self.stacks[0], layer
    return self.stacks[layer], 0

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
    pieces, number = self.of(layer)
    new = tuple(
      piece.put(number, positions - begin, keys, values)
      for piece, begin in zip(pieces, self.begins)
    )
    return Cache(
      tuple(new if stack is pieces else stack for stack in self.stacks)
    )

  def copied(
    self, source: "Cache", of: Array, to: Array, where: Array | None = None
  ) -> "Cache":
    """With the first positions of row `to` those of row `of` of another.

    As it is if bool[] `where` is given and False.
    """

    def one(own, other):
      row = jax.lax.dynamic_slice_in_dim(other, of, 1, axis=1)
      begin = [0, to, *[0] * (own.ndim - 2)]
      if where is not None:
        old = jax.lax.dynamic_slice(own, begin, row.shape)
        row = jnp.where(where, row, old)
      return jax.lax.dynamic_update_slice(own, row, begin)

    def stack(own, other):
      both = (jax.tree.map(one, *pair) for pair in zip(own, other))
      return (*both, *own[len(other) :])

    return Cache(tuple(map(stack, self.stacks, source.stacks)))

  def rows(self, order: Array) -> "Cache":
    """The rows i32[n], in that order."""
    return jax.tree.map(lambda x: x[:, order], self)


def sizes(length: int, block: int) -> list[int]:
  """Positions of the pieces for so many, multiples of a block.

  Pieces grow with what lies before them, so that they are few: each is code of
  its own. Where one begins does not depend on the length.
  """
  found, held = [], 0
  while held < length:
    most = 1 << max(held // (2 * block), 1).bit_length() - 1
    left = -(-(length - held) // block)
    found.append(block * min(most, left))
    held += found[-1]
  return found


def empty(
  config: DecoderConfig, rows: int, length: int, block: int, stacks: int
) -> Cache:
  """Room for rows of so many positions, its layers in so many stacks."""
  c = config
  shape = c.layers // stacks, rows, c.kv_heads

  def piece(size):
    keys = jnp.zeros((*shape, c.head_dim, size), c.dtype)
    return Piece(keys, jnp.zeros((*shape, size, c.head_dim), c.dtype))

  one = lambda: tuple(map(piece, sizes(length, block)))
  return Cache(tuple(one() for _ in range(stacks)))


def of_sequences(keys: Array, values: Array, block: int, stacks: int) -> Cache:
  """The cache of whole sequences, as a full pass leaves them.

  Args:
    keys: f[L, R, S, K, h], from position 0 on.
    values: f[L, R, S, K, h].
    block: positions that every size of a piece is a multiple of.
    stacks: of how many the layers are made.
  """
  lengths = sizes(keys.shape[2], block)
  missing = sum(lengths) - keys.shape[2]
  pad = lambda x: jnp.pad(x, [(0, 0), (0, 0), (0, missing), (0, 0), (0, 0)])
  keys = pad(keys).transpose(0, 1, 3, 4, 2)
  values = pad(values).transpose(0, 1, 3, 2, 4)
  ends = list(itertools.accumulate(lengths))[:-1]

  def stack(keys, values):
    cut = jnp.split(keys, ends, axis=4), jnp.split(values, ends, axis=3)
    return tuple(map(Piece, *cut))

  split = jnp.split(keys, stacks), jnp.split(values, stacks)
  return Cache(tuple(map(stack, *split)))
