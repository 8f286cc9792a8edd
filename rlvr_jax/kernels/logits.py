"""Logits of a block of the vocabulary, and the way back to the matrix product.

z = cap tanh(x / cap) / temperature with x = hidden . weights; without a cap
z = x / temperature. A cut gives small logits another value.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from rlvr_jax.types import Array


class Cut(NamedTuple):
  """Logits below `least` become `fill`, constant for the gradient."""

  least: Array  # f32[N, 1]
  fill: Array  # f32[N, 1]


class Keep(NamedTuple):
  """How many of the likeliest tokens belong to a nucleus.

  Attributes:
    mass: of the nucleus.
    count: most tokens it may hold.
    inclusive: whether the token that brings it to `mass` belongs to it.
  """

  mass: float = jnp.inf
  count: int = 2**31 - 1
  inclusive: bool = False


class Tokens(NamedTuple):
  """What is known of each token."""

  hidden: Array  # f[N, D] the state that predicts it
  target: Array  # i32[N, 1]
  inverse: Array  # f32[N, 1] 1 / temperature
  cut: Cut | None = None  # of its distribution


@dataclasses.dataclass(frozen=True)
class Form:
  """What does not change from token to token.

  Attributes:
    by_column: the weights are [D, V], not [V, D].
    soft_cap: bound of the tanh before the temperature (Gemma); None for none.
  """

  by_column: bool = False
  soft_cap: float | None = None

  def vocabulary(self, weights: Array) -> int:
    """Columns V of the logits."""
    return weights.shape[1 if self.by_column else 0]

  def spec(self, axis: str | None) -> PartitionSpec:
    """The weights with their columns over a mesh axis."""
    return PartitionSpec(*((None, axis) if self.by_column else (axis, None)))

  def columns(self, weights: Array, first: Array, count: int) -> Array:
    """The weights of `count` columns of the logits from `first` on."""
    axis = 1 if self.by_column else 0
    return jax.lax.dynamic_slice_in_dim(weights, first, count, axis)

  def add_columns(self, total: Array, new: Array, first: Array) -> Array:
    """Adds `new`, of the columns from `first` on, to `total` of all."""
    count = self.vocabulary(new)
    old = self.columns(total, first, count)
    axis = 1 if self.by_column else 0
    return jax.lax.dynamic_update_slice_in_dim(total, old + new, first, axis)

  def product(self, hidden: Array, weights: Array) -> Array:
    """f32[N, v] from f[N, D] and the weights of v columns."""
    across = ((1,), (0 if self.by_column else 1,))
    return _dot(hidden, weights, across)

  def logits(
    self,
    hidden: Array,
    weights: Array,
    inverse: Array,
    cut: Cut | None = None,
  ) -> tuple[Array, Array]:
    """Logits of v columns, and their slope by the matrix product.

    Args:
      hidden: f[N, D].
      weights: of the columns.
      inverse: f32[N, 1] 1 / temperature.
      cut: of the distributions; None for none.

    Returns:
      f32[N, v], and f32[N, v] or f32[N, 1].
    """
    return self.finished(self.product(hidden, weights), inverse, cut)

  def finished(
    self, x: Array, inverse: Array, cut: Cut | None = None
  ) -> tuple[Array, Array]:
    """The same from the matrix product f32[N, v]."""
    z, slope = self._scaled(x, inverse)
    if cut is None:
      return z, slope
    kept = z >= cut.least
    return jnp.where(kept, z, cut.fill), jnp.where(kept, slope, 0.0)

  def _scaled(self, x, inverse):
    if self.soft_cap is None:
      return x * inverse, inverse
    bent = jnp.tanh(x / self.soft_cap)
    return self.soft_cap * bent * inverse, (1 - bent * bent) * inverse

  def to_hidden(self, dx: Array, weights: Array) -> Array:
    """f32[N, D] from the cotangent f[N, v] of the product."""
    return _dot(dx, weights, ((1,), (1 if self.by_column else 0,)))

  def to_weights(self, dx: Array, hidden: Array) -> Array:
    """The cotangent of the weights of v columns, float32, in their layout."""
    pair = (hidden, dx) if self.by_column else (dx, hidden)
    return _dot(*pair, ((0,), (0,)))


def _dot(x: Array, y: Array, contract: tuple) -> Array:
  """Products in the type of the operands, sums in float32."""
  return jax.lax.dot_general(
    x, y, (contract, ((), ())), preferred_element_type=jnp.float32
  )
