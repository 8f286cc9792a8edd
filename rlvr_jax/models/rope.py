"""Rotary position embedding, halves convention of Llama and Qwen."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.models.config import Llama3Scaling, Rope

Array = jax.Array


class Turns(NamedTuple):
  """How far each wave has turned at every token; one for all heads."""

  cos: Array  # f32[..., 1, h / 2]
  sin: Array  # f32[..., 1, h / 2]


def frequencies(rope: Rope, head_dim: int) -> Array:
  """f32[h / 2]: the angle of each wave per position, radians."""
  half = head_dim // 2
  frequency = rope.theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
  if rope.llama3 is not None:
    frequency = _stretched(frequency, rope.llama3)
  return frequency if rope.factor == 1 else frequency / rope.factor


def _stretched(frequency: Array, how: Llama3Scaling) -> Array:
  """Between the two bounds a wave is a blend of both its forms."""
  turns = how.original * frequency / (2 * jnp.pi)
  blend = jnp.clip((turns - how.low) / (how.high - how.low), 0.0, 1.0)
  return frequency * (blend + (1 - blend) / how.factor)


def turns(positions: Array, frequency: Array) -> Turns:
  """The turns of tokens.

  Args:
    positions: i32[...].
    frequency: f32[h / 2] radians per position.
  """
  angle = positions[..., None, None].astype(jnp.float32) * frequency
  return Turns(jnp.cos(angle), jnp.sin(angle))


def rotate(x: Array, turns: Turns) -> Array:
  """Turns queries or keys.

  Args:
    x: f[..., heads, h] queries or keys; h even.
    turns: of the tokens.

  Returns:
    f[..., heads, h] of the same dtype.
  """
  cos, sin = turns
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return turned.astype(x.dtype)
