"""A walk over the vocabulary, a block of logits at a time, in plain XLA.

`Walk.fold` carries numbers per token through all blocks; `Walk.pull` takes a
cotangent of each block's logits back to hidden states and weights. Logits exist
for `rows` tokens and `columns` of the vocabulary at a time. The vocabulary is
the inner loop, so each block of the weights' gradient is touched once per
`rows` tokens.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.kernels.logits import Cut, Form
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.kernels.sums import NOTHING
from rlvr_jax.types import Array, PyTree

FOREIGN = -(2**31)  # below any target, also one counted from another device


@dataclasses.dataclass(frozen=True)
class Blocks:
  """How many logits exist at a time.

  Attributes:
    rows: tokens.
    columns: of the vocabulary.
  """

  rows: int = 4096
  columns: int = 1024

  def at_most(self, rows: int) -> "Blocks":
    """With no more tokens than that."""
    return dataclasses.replace(self, rows=min(rows, self.rows))


class Setting(NamedTuple):
  """What does not change from token to token; hashable."""

  form: Form
  blocks: Blocks = Blocks()
  layout: Layout | None = None  # on a mesh; None for one device


class Source(NamedTuple):
  """Where logits come from."""

  hidden: Array  # f[N, D]
  weights: Array  # f[V, D], or f[D, V] as the form says
  inverse: Array  # f32[N, 1] 1 / temperature
  cut: Cut | None = None  # of the distributions


class Block(NamedTuple):
  """The logits of some columns of the vocabulary."""

  z: Array  # f32[N, v]; NOTHING for columns of the block before it
  column: Array  # i32[1, v] their numbers; FOREIGN for those
  first: Array  # i32[] number of the first one
  weights: Array  # f[v, D] or f[D, v]
  slope: Array  # f32[N, v] or f32[N, 1] of z by the matrix product


class Walk(NamedTuple):
  """One way through the vocabulary.

  Attributes:
    sources: of the logits, one block each at a time.
    form: of the logits.
    blocks: sizes.
  """

  sources: tuple[Source, ...]
  form: Form
  blocks: Blocks

  def fold(
    self,
    add: Callable[[PyTree, tuple[Block, ...], PyTree], PyTree],
    start: Callable[[PyTree], PyTree],
    known: PyTree,
  ) -> PyTree:
    """Carries numbers per token through the vocabulary.

    Args:
      add: (numbers, one block per source, known) -> numbers.
      start: known -> numbers before the first block.
      known: [N, ...] of each token.

    Returns:
      The numbers behind the last block, [N, ...].
    """

    def of_rows(_, rows):
      given, known = rows

      def step(carry, number):
        return add(carry, self._at(given, number), known), None

      return None, self._scan(step, start(known))

    return _over_rows(of_rows, None, self._rows(known), self.blocks.rows)[1]

  def pull(
    self,
    cotangent: Callable[[tuple[Block, ...], PyTree], tuple[Array, ...]],
    known: PyTree,
  ) -> tuple[list[Array], list[Array]]:
    """Takes the cotangent of every block of logits back to its sources.

    Args:
      cotangent: (one block per source, known) -> f32[N, v] per source.
      known: [N, ...] of each token.

    Returns:
      The gradients by hidden states and by weights of each source, float32.
    """
    zeros = lambda xs: tuple(jnp.zeros(x.shape, jnp.float32) for x in xs)

    def of_rows(to_weights, rows):
      given, known = rows
      hidden = [source[0] for source in given]

      def step(carry, number):
        found = self._at(given, number)
        terms = zip(*carry, hidden, found, cotangent(found, known), strict=True)
        return tuple(zip(*(_add(self.form, *term) for term in terms))), None

      to_hidden, to_weights = self._scan(step, (zeros(hidden), to_weights))
      return to_weights, to_hidden

    start = zeros(source.weights for source in self.sources)
    to_weights, to_hidden = _over_rows(
      of_rows, start, self._rows(known), self.blocks.rows
    )
    return list(to_hidden), list(to_weights)

  def _rows(self, known):
    return [(s.hidden, s.inverse, s.cut) for s in self.sources], known

  def _columns(self) -> tuple[int, int]:
    """The size of the vocabulary and of a block of it."""
    vocabulary = self.form.vocabulary(self.sources[0].weights)
    return vocabulary, min(self.blocks.columns, vocabulary)

  def _scan(self, step, start) -> PyTree:
    """Carries `start` through the numbers of all blocks of columns."""
    vocabulary, count = self._columns()
    return jax.lax.scan(step, start, jnp.arange(-(-vocabulary // count)))[0]

  def _at(self, given, number) -> tuple[Block, ...]:
    """One block per source; the last one overlaps the one before it."""
    vocabulary, count = self._columns()
    first = jnp.minimum(number * count, vocabulary - count)
    column = first + jnp.arange(count)[None, :]
    column = jnp.where(column >= number * count, column, FOREIGN)

    def of(given, source):
      hidden, inverse, cut = given
      part = self.form.columns(source.weights, first, count)
      z, slope = self.form.logits(hidden, part, inverse, cut)
      z = jnp.where(column >= 0, z, NOTHING)
      return Block(z, column, first, part, slope)

    return tuple(map(of, given, self.sources))


def _add(form, to_hidden, to_weights, hidden, block, dz):
  """Adds what one block contributes to the gradient of a source."""
  dx = jnp.where(block.column >= 0, dz * block.slope, 0.0).astype(hidden.dtype)
  new = form.to_weights(dx, hidden)
  return (
    to_hidden + form.to_hidden(dx, block.weights),
    form.add_columns(to_weights, new, block.first),
  )


def _over_rows(fn, carry, tree, rows) -> tuple[PyTree, PyTree]:
  """Scans fn over blocks of rows; the last one is filled up with zeros."""
  total = jax.tree.leaves(tree)[0].shape[0]
  if total <= rows:
    return fn(carry, tree)
  count = -(-total // rows)

  def split(x):
    pad = [(0, count * rows - total)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(count, rows, *x.shape[1:])

  join = lambda x: x.reshape(-1, *x.shape[2:])[:total]
  carry, out = jax.lax.scan(fn, carry, jax.tree.map(split, tree))
  return carry, jax.tree.map(join, out)
