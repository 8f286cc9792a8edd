"""The distribution a token is sampled from, and exact sampling from it."""

import jax
import jax.numpy as jnp

Array = jax.Array


def temper(logits: Array, temperature: Array) -> Array:
  """Divides by the temperature; 0 keeps only the largest logit.

  Args:
    logits: f32[N, V].
    temperature: f32[N] >= 0.

  Returns:
    f32[N, V].
  """
  top = jnp.argmax(logits, axis=-1, keepdims=True)
  greedy = jnp.where(jnp.arange(logits.shape[-1]) == top, 0.0, -jnp.inf)
  t = temperature[:, None]
  return jnp.where(t > 0, logits / jnp.where(t > 0, t, 1.0), greedy)


def truncate(
  logits: Array, top_k: int, top_p: Array | float, min_p: Array | float
) -> Array:
  """Drops unlikely tokens by setting their logits to -inf.

  The cuts act one after the other, each on what is left: the `top_k` likeliest
  tokens, the smallest set of them with mass at least `top_p` (the token that
  crosses the threshold stays), those with at least `min_p` of the likeliest
  token's probability. Neutral Python values cost nothing.

  Args:
    logits: f32[N, V] after the temperature.
    top_k: tokens to keep; 0 keeps all.
    top_p: f32[] mass to keep, in (0, 1]; 1 keeps all.
    min_p: f32[] in [0, 1); 0 keeps all.

  Returns:
    f32[N, V].
  """
  if top_k and top_k < logits.shape[-1]:
    lowest = jax.lax.top_k(logits, top_k)[0][:, -1:]
    logits = jnp.where(logits < lowest, -jnp.inf, logits)
  if not (isinstance(top_p, (int, float)) and top_p >= 1):
    ordered = -jnp.sort(-logits, axis=-1)
    p = jax.nn.softmax(ordered, axis=-1)
    # The mass before a token decides, so the likeliest is never dropped.
    inside = jnp.cumsum(p, axis=-1) - p < top_p
    lowest = jnp.where(inside, ordered, jnp.inf).min(-1, keepdims=True)
    logits = jnp.where(logits < lowest, -jnp.inf, logits)
  if not (isinstance(min_p, (int, float)) and min_p <= 0):
    relative = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    logits = jnp.where(relative < min_p, -jnp.inf, logits)
  return logits


def draw(logits: Array, uniforms: Array, block: int = 512) -> Array:
  """Samples by the inverse of the cumulative distribution, in two stages.

  The first number chooses a block of the vocabulary, the second a token of
  that block: no [N, V] random bits as the Gumbel trick takes, and the 24 bits
  of a float32 uniform resolve a block, not the whole vocabulary.

  Args:
    logits: f32[N, V]; -inf is never drawn.
    uniforms: f32[N, 2] in [0, 1).
    block: tokens per block.

  Returns:
    i32[N] tokens.
  """
  size = logits.shape[-1]
  p = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
  blocks = -(-size // block)
  p = jnp.pad(p, [(0, 0), (0, blocks * block - size)])
  p = p.reshape(-1, blocks, block)
  chosen = _pick(p.sum(axis=-1), uniforms[:, 0])
  inside = jnp.take_along_axis(p, chosen[:, None, None], axis=1)[:, 0]
  return chosen * block + _pick(inside, uniforms[:, 1])


def _pick(weights: Array, uniform: Array) -> Array:
  cumulative = jnp.cumsum(weights, axis=-1)
  level = (uniform * cumulative[:, -1])[:, None]
  index = (cumulative <= level).sum(axis=-1).astype(jnp.int32)
  # Rounding can push the level to the total: fall back to a token that has
  # probability, the last one.
  last = weights.shape[-1] - 1 - jnp.argmax(weights[:, ::-1] > 0, axis=-1)
  return jnp.minimum(index, last.astype(jnp.int32))
