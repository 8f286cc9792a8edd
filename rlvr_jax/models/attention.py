"""Rotary positions and grouped-query attention, full and against a cache.

Shapes: B rows, S positions, H query heads, K key-value heads, h head size;
R = H / K query heads share a key-value head. P prompts with G rows each.
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def rotate(x: Array, positions: Array, theta: float) -> Array:
  """Rotary position embedding, halves convention of Llama and Qwen.

  Args:
    x: f[..., heads, h] queries or keys; h even.
    positions: i32[...].
    theta: base of the wave lengths.

  Returns:
    f[..., heads, h] of the same dtype.
  """
  half = x.shape[-1] // 2
  frequency = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
  angle = positions[..., None, None].astype(jnp.float32) * frequency
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return turned.astype(x.dtype)


def causal(q_bshd: Array, k_bskd: Array, v_bskd: Array, valid: Array) -> Array:
  """Attention of every position to the valid ones up to itself.

  Args:
    q_bshd: f[B, S, H, h] queries.
    k_bskd: f[B, S, K, h] keys.
    v_bskd: f[B, S, K, h] values.
    valid: bool[B, S] positions that may be attended to.

  Returns:
    f[B, S, H, h].
  """
  length = q_bshd.shape[1]
  mask = jnp.tril(jnp.ones((length, length), bool)) & valid[:, None, :]
  return jax.nn.dot_product_attention(
    q_bshd, k_bskd, v_bskd, mask=mask[:, None]
  )


def decode(
  q_pgkrd: Array,
  k_pgkd: Array,
  v_pgkd: Array,
  prompt: tuple[Array, Array, Array],
  own: tuple[Array, Array, Array],
) -> Array:
  """Attention of one new token per row to prompt, own past and itself.

  The prompt's keys stand in memory once for the G rows that share them.

  Args:
    q_pgkrd: f[P, G, K, R, h] query of the new token.
    k_pgkd: f[P, G, K, h] its key.
    v_pgkd: f[P, G, K, h] its value.
    prompt: keys f[P, K, W, h], values f[P, K, W, h], valid bool[P, W].
    own: keys f[P, G, K, N, h], values f[P, G, K, N, h], valid bool[N].

  Returns:
    f[P, G, K, R, h].
  """
  scale = q_pgkrd.shape[-1] ** -0.5
  f32 = dict(preferred_element_type=jnp.float32)
  shared = jnp.einsum("pgkrd,pkwd->pgkrw", q_pgkrd, prompt[0], **f32)
  past = jnp.einsum("pgkrd,pgknd->pgkrn", q_pgkrd, own[0], **f32)
  itself = jnp.einsum("pgkrd,pgkd->pgkr", q_pgkrd, k_pgkd, **f32)[..., None]
  shared = jnp.where(prompt[2][:, None, None, None], shared * scale, -jnp.inf)
  past = jnp.where(own[2], past * scale, -jnp.inf)
  scores = jnp.concatenate([shared, past, itself * scale], axis=-1)
  weights = jax.nn.softmax(scores, axis=-1).astype(q_pgkrd.dtype)
  width, length = shared.shape[-1], past.shape[-1]
  w_shared, w_past, w_self = jnp.split(weights, [width, width + length], -1)
  return (
    jnp.einsum("pgkrw,pkwd->pgkrd", w_shared, prompt[1])
    + jnp.einsum("pgkrn,pgknd->pgkrd", w_past, own[1])
    + w_self * v_pgkd[:, :, :, None]
  )
