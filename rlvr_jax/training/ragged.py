"""Rows of unlike lengths in slices of like ones, each as wide as it must be.

Rows are put in the order of their lengths, so that a slice holds rows that are
about equally long, and a slice runs at the least of a few widths that its rows
fit in. What lies behind the last counted token of a row is never computed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, PyTree, TokenBatch

_PER_TOKEN = ("mask", "turn", "sample_logp", "old_logp", "advantages")


def lengths(mask: Array) -> Array:
  """i32[B]: positions up to the last counted one, of bool[B, T]."""
  place = jnp.arange(1, mask.shape[1] + 1)
  return jnp.where(mask, place, 0).max(axis=1)


def order(mask: Array, slices: int, siblings: int = 1) -> Array:
  """Which row stands where so that `Pieces.cut` makes slices of like ones.

  Args:
    mask: bool[B, T] counted tokens.
    slices: that the rows will be cut into; pack r goes to slice r % slices.
    siblings: rows of a pack, which stay together.

  Returns:
    i32[B] rows; the longest, and their siblings, come into slice 0.
  """
  longest = lengths(mask).reshape(-1, siblings).max(axis=1)
  packs = jnp.argsort(-longest).reshape(slices, -1).T.reshape(-1, 1)
  return (packs * siblings + jnp.arange(siblings)).reshape(-1)


def at_width(
  fn: Callable[[TokenBatch, PyTree], PyTree],
  rows: TokenBatch,
  along: PyTree,
  widths: int,
) -> PyTree:
  """Calls fn with what rows hold up to the least width that they fit in.

  Args:
    fn: (rows, along) to a tree of any shapes that do not depend on the width.
    rows: of a slice, T positions.
    along: arrays [b, T, ...] that belong to the rows.
    widths: how many there are: T, and the fractions of it in equal steps.
  """
  length = rows.mask.shape[1]
  steps = [-(-length * n // widths) for n in range(1, widths + 1)]

  def branch(width):
    cut = lambda x: x[:, :width]
    return lambda: fn(_cut(rows, width), jax.tree.map(cut, along))

  if widths == 1:
    return branch(length)()
  least = jnp.searchsorted(jnp.array(steps), lengths(rows.mask).max())
  return jax.lax.switch(least, [branch(width) for width in steps])


def widened(tree: PyTree, length: int) -> PyTree:
  """Arrays [b, t, ...] with zeros up to [b, length, ...]."""

  def one(x):
    rest = [(0, 0)] * (x.ndim - 2)
    return jnp.pad(x, [(0, 0), (0, length - x.shape[1]), *rest])

  return jax.tree.map(one, tree)


def _cut(rows: TokenBatch, width: int) -> TokenBatch:
  prompt = rows.prompt_mask.shape[1]
  short = {name: getattr(rows, name)[:, :width] for name in _PER_TOKEN}
  tokens = rows.tokens[:, : prompt + width]
  # Numbers of rows mean nothing in a slice, and models do not ask for them.
  gone = dict(stats={}, notes={}, parent=None, copied=None)
  return rows.replace(tokens=tokens, **short, **gone)
