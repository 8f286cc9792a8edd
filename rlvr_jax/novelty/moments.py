"""Mean and deviation of everything seen so far."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax.types import Array


class Moments(NamedTuple):
  """Count, mean and sum of squared deviations of numbers seen so far."""

  count: Array  # f32[]
  mean: Array  # f32[]
  squares: Array  # f32[]

  @classmethod
  def start(cls) -> "Moments":
    """Of nothing; the released code of E3B begins with a count of 1e-8."""
    return cls(jnp.float32(0), jnp.float32(0), jnp.float32(0))

  @property
  def std(self) -> Array:
    """f32[]: standard deviation; 0 of nothing."""
    return jnp.sqrt(self.squares / jnp.where(self.count > 0, self.count, 1))

  def after(
    self, x: Array, mask: Array, count: Array | int | None = None
  ) -> "Moments":
    """With the counted entries of x, by the rule of Welford and Chan.

    Args:
      x: f32[...].
      mask: bool[...] which entries count.
      count: what their sum is divided by; their number if None. The released
        code of E3B gives the time steps of all episodes side by side, which
        makes both moments too large.
    """
    number = mask.sum().astype(jnp.float32) if count is None else count
    number = jnp.asarray(number, jnp.float32)
    inside = jnp.where(mask, x, 0)
    mean = inside.sum() / jnp.maximum(number, 1)
    squares = jnp.where(mask, (inside - mean) ** 2, 0).sum()
    total = self.count + number
    shift, share = mean - self.mean, number / jnp.where(total > 0, total, 1)
    found = Moments(
      total,
      self.mean + shift * share,
      self.squares + squares + shift**2 * self.count * share,
    )
    some = mask.any()
    return Moments(*(jnp.where(some, a, b) for a, b in zip(found, self)))
