"""Functions of single entries with the gradients the methods want."""

import jax
import jax.numpy as jnp

Array = jax.Array
ROUNDING = 1e-5  # nats; between two passes of the same policy


def clamp(x: Array, low: Array | float, high: Array | float) -> Array:
  """Clip with gradient 1 at the bounds themselves.

  `jnp.clip` gives half a gradient there; the authors' code (torch) gives one.
  """
  return jnp.where(x < low, low, jnp.where(x > high, high, x))


def absolute(x: Array, rounding: float = 0.0) -> Array:
  """|x| with gradient 0 at 0, where `jnp.abs` has gradient 1.

  Args:
    x: f32[...].
    rounding: |x| up to this counts as 0. The sign of a difference that is
      nothing but rounding is a coin toss, and the gradient with it.
  """
  sign = jnp.where(jnp.abs(x) <= rounding, 0.0, jnp.sign(x))
  return x * jax.lax.stop_gradient(sign)


def k3(x: Array) -> Array:
  """exp(-x) - 1 + x, which estimates KL(policy || other) at sampled tokens.

  Args:
    x: f32[...] log-prob under the policy less that under the other one, nats;
      bounded to 20, so that exp is finite, and the value to 10, as in verl.
  """
  x = clamp(x, -20.0, 20.0)
  return clamp(jnp.expm1(-x) + x, -10.0, 10.0)


def verdict(reward: Array) -> Array:
  """f32: 1 for a reward above 0, else 0; NaN for the NaN of no label."""
  return jnp.where(jnp.isnan(reward), jnp.nan, reward > 0).astype(jnp.float32)
