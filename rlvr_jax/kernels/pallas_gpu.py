"""Token statistics on GPU: a Pallas kernel forward, by Triton.

A program owns a block of tokens and a part of the vocabulary, walks that part
tile by tile, and leaves its sums; those of all parts are merged behind it.
Backward there is nothing to fuse that would pay: the gradient is three large
matrix products with one elementwise pass between them, which `chunked` leaves
to the vendor's library, a few thousand columns at a time.
"""

import dataclasses
import functools
from collections.abc import Collection

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from rlvr_jax.kernels import chunked, sums, walk
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.pullback import Factors
from rlvr_jax.kernels.sums import NOTHING, Sums
from rlvr_jax.types import Array


@dataclasses.dataclass(frozen=True)
class Blocks:
  """Sizes, all powers of two.

  Attributes:
    rows: tokens of a tile.
    columns: of the vocabulary of a tile.
    depth: hidden units of one step of the matrix product.
    parts: of the vocabulary, so that there are programs for all processors.
    warps: of a program.
    stages: of its pipeline.
    gradient: of the backward pass.
    interpret: run without a GPU, for tests.
  """

  rows: int = 128
  columns: int = 128
  depth: int = 64
  parts: int = 8
  warps: int = 8
  stages: int = 3
  gradient: walk.Blocks = walk.Blocks(rows=8192, columns=2048)
  interpret: bool = False

  def at_most(self, rows: int) -> "Blocks":
    """With no more tokens than that backward."""
    return dataclasses.replace(self, gradient=self.gradient.at_most(rows))


def forward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  outputs: Collection[str],
  blocks: Blocks,
) -> Sums:
  """The sums over all columns of the weights, see `chunked.forward`."""
  count, b = tokens.target.shape[0], blocks
  leaves, tree = jax.tree.flatten(sums.start((1, 1), outputs))
  kernel = functools.partial(_forward, form=form, outputs=outputs, blocks=b)
  part = jax.ShapeDtypeStruct((count, b.parts), jnp.float32)
  found = pl.pallas_call(
    kernel,
    grid=(pl.cdiv(count, b.rows), b.parts),
    out_shape=[part] * len(leaves),
    compiler_params=triton.CompilerParams(
      num_warps=b.warps, num_stages=b.stages
    ),
    interpret=b.interpret,
    name="token_statistics",
  )(tokens, weights)
  parts = [
    jax.tree.unflatten(tree, [x[:, k : k + 1] for x in found])
    for k in range(b.parts)
  ]
  return functools.reduce(sums.merge, parts)


def backward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  factors: Factors,
  blocks: Blocks,
) -> tuple[Array, Array]:
  """`chunked.backward` in blocks that suit a GPU."""
  return chunked.backward(tokens, weights, form, factors, blocks.gradient)


def _forward(tokens, weights, *out, form, outputs, blocks):
  b, count = blocks, tokens.hidden.shape[0]
  vocabulary, part = form.vocabulary(weights), pl.program_id(1)
  rows = pl.ds(pl.program_id(0) * b.rows, b.rows)
  inside = (pl.program_id(0) * b.rows + jnp.arange(b.rows) < count)[:, None]
  at = (rows, pl.ds(0, 1))
  load = lambda ref: triton.load(ref.at[at], mask=inside, other=0)
  y, inverse, cut = jax.tree.map(load, tokens[1:])

  def add(tile, total):
    column = (tile * b.columns + jnp.arange(b.columns))[None, :]
    # A target of another device may have the number of a missing column.
    own = column < vocabulary
    x = _product(tokens.hidden, weights, rows, inside, tile, form, b)
    z, _ = form.finished(x, inverse, cut)
    z = jnp.where(own, z, NOTHING)
    return sums.merge(total, sums.of_block(z, own & (column == y), outputs))

  tiles = pl.cdiv(vocabulary, b.columns)
  each = pl.cdiv(tiles, b.parts)
  last = jnp.minimum((part + 1) * each, tiles)
  empty = sums.start((b.rows, 1), outputs)
  found = jax.lax.fori_loop(part * each, last, add, empty)
  for ref, x in zip(out, jax.tree.leaves(found)):
    triton.store(ref.at[rows, pl.ds(part, 1)], x, mask=inside)


def _product(hidden, weights, rows, inside, tile, form, b) -> Array:
  """f32[rows, columns], a few hidden units at a time."""
  width = hidden.shape[1]
  columns = pl.ds(tile * b.columns, b.columns)
  exists = tile * b.columns + jnp.arange(b.columns) < form.vocabulary(weights)

  def add(step, total):
    depth = pl.ds(step * b.depth, b.depth)
    deep = step * b.depth + jnp.arange(b.depth) < width
    h = triton.load(
      hidden.at[rows, depth], mask=inside & deep[None, :], other=0
    )
    if form.by_column:
      at, mask = (depth, columns), deep[:, None] & exists[None, :]
    else:
      at, mask = (columns, depth), exists[:, None] & deep[None, :]
    w = triton.load(weights.at[at], mask=mask, other=0)
    return total + pl.dot(h, w, trans_b=not form.by_column)

  zeros = jnp.zeros((b.rows, b.columns), jnp.float32)
  return jax.lax.fori_loop(0, pl.cdiv(width, b.depth), add, zeros)
