"""Tokens over some axes of a mesh, the vocabulary over another.

Each device works on its own tokens and columns; a few numbers per token travel
forward, see `sums.across`, and the hidden states' gradient backward.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.types import Array, PyTree


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where tokens and vocabulary live. Axes that do not divide are not used.

  Attributes:
    mesh: of devices.
    rows: axes over which tokens are split.
    columns: axis over which the vocabulary is split.
  """

  mesh: Mesh
  rows: tuple[str, ...] = ("data", "fsdp", "sequence")
  columns: str = "tensor"

  def axes(
    self, tokens: int, vocabulary: int
  ) -> tuple[tuple[str, ...], str | None]:
    """The axes that split so many tokens, and so large a vocabulary."""
    size = self.mesh.shape
    fits = tokens % math.prod(size[a] for a in self.rows) == 0
    whole = vocabulary % size[self.columns] == 0
    return self.rows if fits else (), self.columns if whole else None


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
  over, axis = _axes(layout, form, rows, weights)
  local = lambda rows, weights: fn(rows, weights, axis)
  given = (P(over), form.spec(axis))
  return _mapped(layout, local, given, P(over))(rows, weights)


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
  over, axis = _axes(layout, form, rows, weights)

  def local(rows, weights):
    by_rows, by_weights = fn(rows, weights, axis)
    if axis is not None:
      by_rows = jax.lax.psum(by_rows, axis)
    return by_rows, jax.lax.psum(by_weights, over) if over else by_weights

  given = (P(over), form.spec(axis))
  return _mapped(layout, local, given, given)(rows, weights)


def shifted(
  tokens: Tokens, weights: Array, form: Form, axis: str | None
) -> Tokens:
  """Targets counted from the first column of this device."""
  if axis is None:
    return tokens
  first = jax.lax.axis_index(axis) * form.vocabulary(weights)
  return tokens._replace(target=tokens.target - first)


def _axes(layout, form, rows, weights):
  count, first = len(jax.tree.leaves(rows)[0]), jax.tree.leaves(weights)[0]
  return layout.axes(count, form.vocabulary(first))


def _mapped(layout: Layout, fn: Callable, given, found) -> Callable:
  # What travels is written out above; checking it would need the types of a
  # kernel's outputs to tell over which axes they vary.
  return jax.shard_map(
    fn, mesh=layout.mesh, in_specs=given, out_specs=found, check_vma=False
  )
