"""Reductions over the counted entries of a whole minibatch."""

import fractions
from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array


def masked_mean(x: Array, mask: Array) -> Array:
  """Mean of x where the mask counts; 0 if nothing counts.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: f32/bool[...] of the same shape, weight of each entry.

  Returns:
    f32[].
  """
  weight = mask.astype(x.dtype)
  total = jnp.where(weight > 0, x * weight, 0).sum()
  return total / jnp.maximum(weight.sum(), 1)


def masked_var(x: Array, mask: Array, ddof: int = 0) -> Array:
  """Variance of x over counted entries with `ddof` lost degrees of freedom."""
  x = jnp.where(mask > 0, x, 0)  # or the gradient of junk is NaN
  count = mask.astype(x.dtype).sum()
  centred = masked_mean((x - masked_mean(x, mask)) ** 2, mask)
  return centred * count / jnp.maximum(count - ddof, 1)


def masked_max(x: Array, mask: Array) -> Array:
  """Largest counted entry; 0 if nothing counts."""
  highest = jnp.where(mask > 0, x, -jnp.inf).max()
  return jnp.where(jnp.any(mask > 0), highest, 0)


def masked_min(x: Array, mask: Array) -> Array:
  """Smallest counted entry; 0 if nothing counts."""
  return -masked_max(-x, mask)


def masked_quantile(
  x: Array, mask: Array, share: float, axis: int | None = None
) -> Array:
  """Quantile of the counted entries, linear between order statistics.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: bool[...] of the same shape.
    share: in [0, 1]; 0 is the smallest counted entry, 1 the largest.
    axis: along which; None over everything.

  Returns:
    f32 with that axis of size 1, f32[] for None; 0 if nothing counts.
  """
  if axis is None:
    return masked_quantile(x.reshape(-1), mask.reshape(-1), share, 0)[0]
  ordered = jnp.sort(jnp.where(mask > 0, x, jnp.inf), axis=axis)
  count = (mask > 0).sum(axis=axis, keepdims=True)
  place = share * jnp.maximum(count - 1, 0).astype(x.dtype)
  below = jnp.floor(place).astype(jnp.int32)
  above = jnp.minimum(below + 1, jnp.maximum(count - 1, 0))
  at = lambda i: jnp.take_along_axis(ordered, i, axis=axis)
  low, high = at(below), at(above)
  between = low + (place - below) * jnp.where(high > low, high - low, 0)
  return jnp.where(count > 0, between, 0)


def whiten(x: Array, mask: Array, epsilon: float = 1e-8) -> Array:
  """Shifts and scales the counted entries to mean 0 and variance 1.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: f32/bool[...] of the same shape, which entries count.
    epsilon: added to the variance, which has one degree of freedom less.

  Returns:
    f32[...] of the same shape; 0 where nothing counts.
  """
  x = jnp.where(mask > 0, x, 0)
  scale = jax.lax.rsqrt(masked_var(x, mask, ddof=1) + epsilon)
  return jnp.where(mask > 0, (x - masked_mean(x, mask)) * scale, 0)


def centred_product(x: Array, y: Array, mask: Array) -> Array:
  """(x - mean x)(y - mean y) per entry, 0 where the mask does not count.

  Its masked mean is the covariance of x and y over the counted entries.
  """
  product = (x - masked_mean(x, mask)) * (y - masked_mean(y, mask))
  return jnp.where(mask > 0, product, 0)


def top_mask(x: Array, mask: Array, count: Array | int) -> Array:
  """Marks the `count` largest counted entries; ties go to the earlier one.

  Args:
    x: f32[...] values to rank.
    mask: bool[...] which entries may be chosen.
    count: i32[] how many; fewer are marked if fewer may be chosen.

  Returns:
    bool[...] of the same shape.
  """
  flat = jnp.where(mask > 0, x, -jnp.inf).reshape(-1)
  order = jnp.argsort(-flat, stable=True)
  rank = jnp.zeros_like(order).at[order].set(jnp.arange(flat.size))
  return (mask > 0) & (rank < count).reshape(x.shape)


def count_of(fraction: float, mask: Array, rounding: str = "floor") -> Array:
  """i32[]: fraction * counted entries, rounded, at least 1.

  In whole numbers, because a float32 product such as 0.3 * 100_000 may end on
  the wrong side of the integer.

  Args:
    fraction: in [0, 1]; taken as the nearest quotient with a denominator of
      at most a million, so that 0.3 is 3/10.
    mask: f32/bool[...] which entries count.
    rounding: "floor" or "ceil".
  """
  exact = fractions.Fraction(fraction).limit_denominator(10**6)
  count = (mask > 0).sum().astype(jnp.int32)
  whole, rest = jnp.divmod(count, exact.denominator)
  # rest * numerator may exceed an int32: three digits of it at a time.
  high, low = divmod(exact.numerator, 1000)
  upper, left = jnp.divmod(rest * high, exact.denominator)
  lower, left = jnp.divmod(left * 1000 + rest * low, exact.denominator)
  share = whole * exact.numerator + upper * 1000 + lower
  return jnp.maximum(share + (left > 0) * (rounding == "ceil"), 1)


def in_blocks(
  fn: Callable[..., Array], rows: int | None, *arrays: Array
) -> Array:
  """Applies fn to blocks of consecutive rows, each on its own.

  Published code takes batch statistics per micro-batch; this repeats that on
  purpose, whatever the number of devices and slices.

  Args:
    fn: [rows, ...] arrays to arrays [rows, ...]; false masks must not count.
    rows: size of a block; None for one block of all rows. The last block is
      filled up with zeros, so with false masks.
    *arrays: [B, ...] each.

  Returns:
    What fn returns for all rows together.
  """
  if rows is None:
    return fn(*arrays)
  total = arrays[0].shape[0]
  blocks = -(-total // rows)

  def split(x):
    pad = [(0, blocks * rows - total)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(blocks, rows, *x.shape[1:])

  join = lambda x: x.reshape(-1, *x.shape[2:])[:total]
  return jax.tree.map(join, jax.vmap(fn)(*map(split, arrays)))
