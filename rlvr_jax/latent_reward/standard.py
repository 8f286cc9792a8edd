"""Features in deviations from their mean over all training so far."""

import jax
import jax.numpy as jnp

from rlvr_jax.novelty import Moments
from rlvr_jax.types import Array

LARGEST = 10.0  # deviations that a feature may be from its mean
ROUNDING = 1e-5  # a deviation below this share of the mean is none


def start(width: int) -> Moments:
  """Of nothing; f32[width] each."""
  zeros = jnp.zeros(width, jnp.float32)
  return Moments(zeros, zeros, zeros)


def after(moments: Moments, x: Array, mask: Array) -> Moments:
  """With the counted ones of f32[B, T, width], one by one."""
  one = lambda moments, x: moments.after(x, mask)
  return jax.vmap(one, in_axes=(0, 2))(moments, x)


def standard(x: Array, moments: Moments) -> Array:
  """f32[..., width]: about the means, in deviations; 0 if there are none."""
  real = moments.std > ROUNDING * jnp.abs(moments.mean)
  scaled = (x - moments.mean) / jnp.where(real, moments.std, 1)
  return jnp.where(real, jnp.clip(scaled, -LARGEST, LARGEST), 0)
