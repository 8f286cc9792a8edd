"""Half a wave of the cosine over the first steps of a run."""

import jax.numpy as jnp

from rlvr_jax.types import Array


def rising(step: Array | int, steps: int) -> Array:
  """f32: (1 - cos(pi step / steps)) / 2, from 0 to 1; then 1.

  Args:
    step: i32[...] finished steps.
    steps: until it is 1, >= 1.
  """
  share = jnp.minimum(step, steps).astype(jnp.float32) / steps
  return (1 - jnp.cos(jnp.pi * share)) / 2


def falling(step: Array | int, steps: int) -> Array:
  """f32: (1 + cos(pi step / steps)) / 2, from 1 to 0; then 0."""
  return 1 - rising(step, steps)
