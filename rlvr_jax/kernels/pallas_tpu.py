"""Token statistics as Pallas kernels for TPU, by Mosaic.

A tile of logits is one matrix product in VMEM and never leaves it. Forward,
each of the 128 lanes keeps running sums of its own columns; they are merged
once, behind the last tile. Backward, one kernel walks the vocabulary for the
gradient of the hidden states and another the tokens for that of the weights.
"""

import functools
from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from rlvr_jax.kernels import pullback, sums
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.pallas_tpu_blocks import LANES, Blocks
from rlvr_jax.kernels.pullback import Factors
from rlvr_jax.kernels.sums import NOTHING, Sums
from rlvr_jax.types import Array, PyTree

# For tests: memory that nobody wrote is NaN, in tiles and beyond the arrays.
NAN_FILLED = pltpu.InterpretParams(
  uninitialized_memory="nan", out_of_bounds_reads="uninitialized"
)


class _Sizes(NamedTuple):
  """Of a call."""

  form: Form
  tokens: int
  vocabulary: int
  rows: int  # of a tile
  columns: int

  @classmethod
  def of(cls, tokens: Tokens, weights: Array, form: Form, tile: Callable):
    """Of a tile by depth and size of an element, see `Blocks`."""
    count, vocabulary = tokens.target.shape[0], form.vocabulary(weights)
    rows, columns = tile(tokens.hidden.shape[1], weights.dtype.itemsize)
    # No larger tile than what there is.
    rows = min(rows, pl.cdiv(count, 16) * 16)
    columns = min(columns, pl.cdiv(vocabulary, LANES) * LANES)
    return cls(form, count, vocabulary, rows, columns)

  @property
  def grid(self) -> tuple[int, int]:
    return pl.cdiv(self.tokens, self.rows), pl.cdiv(
      self.vocabulary, self.columns
    )

  def of_rows(self, width: int, at: Callable) -> pl.BlockSpec:
    """Blocks of an array [N, width]."""
    return pl.BlockSpec((self.rows, width), lambda *p: (at(*p)[0], 0))

  def of_columns(self, width: int, at: Callable) -> pl.BlockSpec:
    """Blocks of an array of the layout of the weights."""
    if self.form.by_column:
      return pl.BlockSpec((width, self.columns), lambda *p: (0, at(*p)[1]))
    return pl.BlockSpec((self.columns, width), lambda *p: (at(*p)[1], 0))

  def inputs(self, tokens: Tokens, at: Callable) -> list[PyTree]:
    """Of the tokens and the weights."""
    rows = jax.tree.map(lambda x: self.of_rows(x.shape[1], at), tokens)
    return [rows, self.of_columns(tokens.hidden.shape[1], at)]


def forward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  outputs: Collection[str],
  blocks: Blocks,
) -> Sums:
  """The sums over all columns of the weights, see `chunked.forward`."""
  sizes = _Sizes.of(tokens, weights, form, blocks.forward)
  lanes, tree = jax.tree.flatten(sums.start((sizes.rows, LANES), outputs))
  at = lambda i, j: (i, j)
  how = dict(sizes=sizes, tree=tree, outputs=outputs, strip=blocks.strip)
  packed = pl.pallas_call(
    functools.partial(_forward, **how),
    grid=sizes.grid,
    in_specs=sizes.inputs(tokens, at),
    out_specs=sizes.of_rows(LANES, at),
    out_shape=jax.ShapeDtypeStruct((sizes.tokens, LANES), jnp.float32),
    scratch_shapes=[pltpu.VMEM(x.shape, x.dtype) for x in lanes],
    name="token_statistics",
    **blocks.options("parallel", "arbitrary"),
  )(tokens, weights)
  return _unpack(packed, tree)


def _forward(tokens, weights, out, *lanes, sizes, tree, outputs, strip):
  j, last = pl.program_id(1), sizes.grid[1] - 1
  load = lambda rows: jax.tree.unflatten(tree, [ref[rows] for ref in lanes])

  def store(rows, found: Sums):
    for ref, x in zip(lanes, jax.tree.leaves(found)):
      ref[rows] = x

  @pl.when(j == 0)
  def _():
    store(..., sums.start((sizes.rows, LANES), outputs))

  def add(ragged, rows):
    hidden, target, inverse, cut = _read(tokens, rows)
    z, _ = sizes.form.logits(hidden, weights[...], inverse, cut)
    column = j * sizes.columns + _columns(z.shape)
    is_target = column == target
    if ragged:
      # A target of another device may have the number of a missing column.
      own = column < sizes.vocabulary
      z, is_target = jnp.where(own, z, NOTHING), own & is_target
    store(rows, _by_lane(load(rows), z, is_target, outputs))

  def add_strips(ragged):
    for first in range(0, sizes.rows, strip):
      add(ragged, pl.ds(first, min(strip, sizes.rows - first)))

  _each(add_strips, j, last, sizes.vocabulary % sizes.columns)

  @pl.when(j == last)
  def _():
    found = load(...)
    top = jnp.max(found.top, axis=1, keepdims=True)
    total = lambda x: jnp.sum(x, axis=1, keepdims=True)
    out[...] = _pack(
      jax.tree.map(total, sums.raised(found, top))._replace(top=top)
    )


def _by_lane(
  old: Sums, z: Array, is_target: Array, outputs: Collection[str]
) -> Sums:
  """Adds the columns of f32[N, v] logits to the sums of their lanes."""
  cuts = [slice(k, k + LANES) for k in range(0, z.shape[1], LANES)]
  top = functools.reduce(jnp.maximum, (z[:, c] for c in cuts), old.top)

  def add(total, cut):
    at, hit = z[:, cut], is_target[:, cut]
    new = sums.terms(at, hit, top, outputs)
    # One target at most: its logit is put there, which is less than adding.
    chosen = jnp.where(hit, at, total.chosen)
    return jax.tree.map(jnp.add, total, new)._replace(chosen=chosen)

  start = sums.raised(old, top)._replace(top=None)
  return functools.reduce(add, cuts, start)._replace(top=top)


def backward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  factors: Factors,
  blocks: Blocks,
) -> tuple[Array, Array]:
  """The gradient by hidden states and weights, see `chunked.backward`."""
  packed, tree = _pack(factors), jax.tree.structure(factors)
  width = tokens.hidden.shape[1]
  sizes_of = functools.partial(_Sizes.of, tokens, weights, form)

  def call(kernel, sizes, grid, at, out, name):
    spec, like = out
    return pl.pallas_call(
      functools.partial(kernel, sizes=sizes, tree=tree),
      grid=grid,
      in_specs=[*sizes.inputs(tokens, at), sizes.of_rows(LANES, at)],
      out_specs=spec,
      out_shape=jax.ShapeDtypeStruct(like.shape, jnp.float32),
      name=f"token_statistics_{name}",
      **blocks.options("parallel", "arbitrary"),
    )(tokens, weights, packed)

  def to_hidden(sizes):
    at = lambda i, j: (i, j)
    out = sizes.of_rows(width, at), tokens.hidden
    return call(_to_hidden, sizes, sizes.grid, at, out, "to_hidden")

  def to_weights(sizes):
    at = lambda j, i: (i, j)
    out = sizes.of_columns(width, at), weights
    return call(_to_weights, sizes, sizes.grid[::-1], at, out, "to_weights")

  return (
    to_hidden(sizes_of(blocks.to_hidden)),
    to_weights(sizes_of(blocks.to_weights)),
  )


def _to_hidden(tokens, weights, factors, out, *, sizes, tree):
  j, last = pl.program_id(1), sizes.grid[1] - 1

  def add(ragged):
    w = weights[...]
    if ragged:  # beyond the vocabulary stands anything, even NaN
      axis = 1 if sizes.form.by_column else 0
      number = j * sizes.columns + _iota(w.shape, axis)
      w = jnp.where(number < sizes.vocabulary, w, 0)
    dx = _cotangent(_read(tokens), w, factors[...], j, sizes, tree)
    if ragged:
      column = j * sizes.columns + _columns(dx.shape)
      dx = jnp.where(column < sizes.vocabulary, dx, 0)
    _accumulate(out, sizes.form.to_hidden(dx.astype(w.dtype), w), j)

  _each(add, j, last, sizes.vocabulary % sizes.columns)


def _to_weights(tokens, weights, factors, out, *, sizes, tree):
  j, i, last = pl.program_id(0), pl.program_id(1), sizes.grid[0] - 1

  def add(ragged):
    given = _read(tokens)
    h = given.hidden
    inside = i * sizes.rows + _iota((sizes.rows, 1), 0) < sizes.tokens
    if ragged:
      h = jnp.where(inside, h, 0)
    given = given._replace(hidden=h)
    dx = _cotangent(given, weights[...], factors[...], j, sizes, tree)
    if ragged:
      dx = jnp.where(inside, dx, 0)
    _accumulate(out, sizes.form.to_weights(dx.astype(h.dtype), h), i)

  _each(add, i, last, sizes.tokens % sizes.rows)


def _cotangent(tokens, weights, packed, j, sizes, tree) -> Array:
  """f32[rows, columns]: of the matrix product."""
  hidden, target, inverse, cut = tokens
  z, slope = sizes.form.logits(hidden, weights, inverse, cut)
  column = j * sizes.columns + _columns(z.shape)
  factors = _unpack(packed, tree)
  return pullback.of_block(z, column == target, factors) * slope


def _read(tokens: Tokens, rows: object = ...) -> Tokens:
  """What stands in those rows of the blocks."""
  return jax.tree.map(lambda ref: ref[rows], tokens)


def _each(fn: Callable[[bool], None], at: Array, last: int, ragged: int):
  """fn(False) for whole tiles and fn(True) for a ragged last one."""
  if not ragged:
    return fn(False)
  pl.when(at < last)(lambda: fn(False))
  pl.when(at == last)(lambda: fn(True))


def _accumulate(out, new: Array, at: Array):
  """Adds to a block that stays until the inner axis of the grid is through."""

  @pl.when(at == 0)
  def _():
    out[...] = new

  @pl.when(at > 0)
  def _():
    out[...] += new


def _iota(shape: tuple[int, ...], axis: int) -> Array:
  return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _columns(shape: tuple[int, int]) -> Array:
  return _iota(shape, 1)


def _pack(tree: PyTree) -> Array:
  """f32[N, LANES] with the k-th leaf f32[N, 1] in lane k."""
  leaves = jax.tree.leaves(tree)
  shape = (leaves[0].shape[0], LANES)
  lane, out = _columns(shape), jnp.zeros(shape, jnp.float32)
  for k, leaf in enumerate(leaves):
    out = jnp.where(lane == k, leaf, out)
  return out


def _unpack(packed: Array, tree: jax.tree_util.PyTreeDef) -> PyTree:
  """The inverse of `_pack`."""
  count = tree.num_leaves
  return jax.tree.unflatten(tree, [packed[:, k : k + 1] for k in range(count)])
