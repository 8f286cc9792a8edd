"""Tokens over some axes of a mesh, the vocabulary over another.

Each device works on its own tokens and columns; a few numbers per token travel
forward, see `sums.across`, and the hidden states' gradient backward.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where tokens and vocabulary live.

  Attributes:
    mesh: of devices.
    rows: axes over which tokens are split.
    columns: axis over which the vocabulary is split, if it divides it.
  """

  mesh: Mesh
  rows: tuple[str, ...] = ("data", "fsdp", "sequence")
  columns: str = "tensor"

  @property
  def parts(self) -> int:
    """Into how many parts tokens are split."""
    return math.prod(self.mesh.shape[axis] for axis in self.rows)

  def column(self, vocabulary: int) -> str | None:
    """The axis that splits so large a vocabulary."""
    whole = vocabulary % self.mesh.shape[self.columns] == 0
    return self.columns if whole else None


def forward(
  layout: Layout | None, fn: Callable, form: Form, rows: PyTree, weights: PyTree
) -> PyTree:
  """Numbers per token, made by all devices.

  Args:
    layout: None for one device.
    fn: (rows, weights, axis) -> [n, ...] of each token of a device, equal on
      all devices of the axis, over which it has to add up; None for no axis.
    form: of the weights.
    rows: [N, ...] of each token.
    weights: output matrices of one layout.

  Returns:
    What fn gives, of all tokens.
  """
  if layout is None:
    return fn(rows, weights, None)
  over, axis = layout.rows, _column(layout, form, weights)
  local = lambda rows, weights: fn(rows, weights, axis)
  given = (P(over), form.spec(axis))
  count, rows = _padded(layout, rows)
  found = _mapped(layout, local, given, P(over))(rows, weights)
  return _first(found, count)


def backward(
  layout: Layout | None, fn: Callable, form: Form, rows: PyTree, weights: PyTree
) -> tuple[PyTree, PyTree]:
  """Gradients by tokens and by weights, each in its layout.

  Args:
    layout: None for one device.
    fn: (rows, weights, axis) -> what a device's tokens and columns contribute
      to both.
    form: of the weights.
    rows: [N, ...] of each token.
    weights: output matrices of one layout.

  Returns:
    Both, of all devices.
  """
  if layout is None:
    return fn(rows, weights, None)
  over, axis = layout.rows, _column(layout, form, weights)

  def local(rows, weights):
    by_rows, by_weights = fn(rows, weights, axis)
    if axis is not None:
      by_rows = jax.lax.psum(by_rows, axis)
    return by_rows, jax.lax.psum(by_weights, over)

  given = (P(over), form.spec(axis))
  count, rows = _padded(layout, rows)
  by_rows, by_weights = _mapped(layout, local, given, given)(rows, weights)
  return _first(by_rows, count), by_weights


def shifted(
  tokens: Tokens, weights: Array, form: Form, axis: str | None
) -> Tokens:
  """Targets counted from the first column of this device."""
  if axis is None:
    return tokens
  first = jax.lax.axis_index(axis) * form.vocabulary(weights)
  return tokens._replace(target=tokens.target - first)


def _column(layout: Layout, form: Form, weights: PyTree) -> str | None:
  return layout.column(form.vocabulary(jax.tree.leaves(weights)[0]))


def _padded(layout: Layout, rows: PyTree) -> tuple[int, PyTree]:
  """Their number, and zeros behind them until all parts are equal.

  The gradient by a state of zeros is zero, so they add nothing to the weights'.
  """
  count = len(jax.tree.leaves(rows)[0])
  added = -count % layout.parts
  if not added:
    return count, rows
  pad = lambda x: jnp.pad(x, [(0, added)] + [(0, 0)] * (x.ndim - 1))
  return count, jax.tree.map(pad, rows)


def _first(tree: PyTree, count: int) -> PyTree:
  return jax.tree.map(lambda x: x[:count], tree)


def _mapped(layout: Layout, fn: Callable, given, found) -> Callable:
  # What travels is written out above; checking it would need the types of a
  # kernel's outputs to tell over which axes they vary.
  return jax.shard_map(
    fn, mesh=layout.mesh, in_specs=given, out_specs=found, check_vma=False
  )
