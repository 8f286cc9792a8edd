"""Tokens over some axes of a mesh, the vocabulary over another.

Each device sums over its own columns; one maximum and one sum of a few numbers
per token travel forward, and the hidden states' gradient backward.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax.kernels import sums
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.pullback import Factors
from rlvr_jax.kernels.sums import Sums
from rlvr_jax.types import Array


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where tokens and vocabulary live. Axes that do not divide are not used.

  Attributes:
    mesh: of devices.
    rows: axes over which tokens are split.
    columns: axis over which the vocabulary is split.
  """

  mesh: Mesh
  rows: tuple[str, ...] = ("data", "fsdp")
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
  layout: Layout, fn: Callable, tokens: Tokens, weights: Array, form: Form
) -> Sums:
  """The sums of fn(tokens, weights) over the columns of all devices."""
  rows, columns = layout.axes(len(tokens.target), form.vocabulary(weights))

  def local(tokens, weights):
    found = fn(_shifted(tokens, weights, form, columns), weights)
    return found if columns is None else sums.across(found, columns)

  return _mapped(layout, local, (P(rows), form.spec(columns)), P(rows))(
    tokens, weights
  )


def backward(
  layout: Layout,
  fn: Callable,
  tokens: Tokens,
  weights: Array,
  form: Form,
  factors: Factors,
) -> tuple[Array, Array]:
  """The gradients that fn(tokens, weights, factors) gives on all devices."""
  rows, columns = layout.axes(len(tokens.target), form.vocabulary(weights))

  def local(tokens, weights, factors):
    tokens = _shifted(tokens, weights, form, columns)
    by_hidden, by_weights = fn(tokens, weights, factors)
    if columns is not None:
      by_hidden = jax.lax.psum(by_hidden, columns)
    return by_hidden, jax.lax.psum(by_weights, rows) if rows else by_weights

  where = form.spec(columns)
  mapped = _mapped(layout, local, (P(rows), where, P(rows)), (P(rows), where))
  return mapped(tokens, weights, factors)


def _shifted(
  tokens: Tokens, weights: Array, form: Form, columns: str | None
) -> Tokens:
  """Targets counted from the first column of this device."""
  if columns is None:
    return tokens
  first = jax.lax.axis_index(columns) * form.vocabulary(weights)
  return tokens._replace(target=tokens.target - first)


def _mapped(layout: Layout, fn: Callable, given, found) -> Callable:
  # What travels is written out above; checking it would need the types of a
  # kernel's outputs to tell over which axes they vary.
  return jax.shard_map(
    fn, mesh=layout.mesh, in_specs=given, out_specs=found, check_vma=False
  )
