"""The distribution a token is sampled from, and exact sampling from it."""

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import reference

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
  logits: Array,
  top_k: Array | None = None,
  top_p: Array | None = None,
  min_p: Array | None = None,
  most: int | None = None,
) -> Array:
  """Drops unlikely tokens by setting their logits to -inf.

  The cuts act one after the other, each on what is left: the `top_k` likeliest
  tokens, the smallest set of likeliest tokens with mass at least `top_p` (the
  token that crosses the threshold stays), those with at least `min_p` of the
  likeliest token's probability. Of equally likely tokens the first two cuts
  keep the lower ids, so they keep exactly as many as they say. None costs
  nothing.

  Args:
    logits: f32[N, V] after the temperature.
    top_k: i32[N] tokens to keep; 0 keeps all.
    top_p: f32[N] mass to keep, in (0, 1]; 1 keeps all.
    min_p: f32[N] in [0, 1); 0 keeps all.
    most: no `top_k` is larger; None for V.

  Returns:
    f32[N, V].
  """
  if top_k is not None:
    logits = _likeliest(logits, top_k[:, None], most or logits.shape[-1])
  if top_p is not None:
    logits = _nucleus(logits, top_p[:, None])
  if min_p is not None:
    relative = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    logits = jnp.where(relative < min_p[:, None], -jnp.inf, logits)
  return logits


def _likeliest(logits: Array, top_k: Array, most: int) -> Array:
  """Keeps of f32[N, V] the i32[N, 1] likeliest tokens, at most `most`."""
  size = logits.shape[-1]
  ordered = jax.lax.top_k(logits, min(most, size))[0]
  place = jnp.clip(top_k - 1, 0, ordered.shape[-1] - 1)
  lowest = jnp.take_along_axis(ordered, place, axis=-1)
  kept = _keep(logits, lowest, top_k)
  return jnp.where((top_k == 0) | (top_k >= size), logits, kept)


def _nucleus(logits: Array, top_p: Array) -> Array:
  """Keeps of f32[N, V] the smallest sets of likeliest tokens of mass top_p."""
  ordered = -jnp.sort(-logits, axis=-1)
  p = jax.nn.softmax(ordered, axis=-1)
  # The mass before a token decides, so the likeliest is never dropped. Rounding
  # lets that mass reach 1 before the last token: a traced 1 needs the `or`.
  inside = (jnp.cumsum(p, axis=-1) - p < top_p) | (top_p >= 1)
  count = inside.sum(axis=-1, keepdims=True)
  return _keep(logits, jnp.take_along_axis(ordered, count - 1, -1), count)


def _keep(logits: Array, lowest: Array, count: Array | int) -> Array:
  """Keeps the `count` largest; of equals to the smallest kept, the lower ids.

  Equals are counted, not compared by the ids that `top_k` returns: it orders
  0.0 before -0.0, which are equal here.

  Args:
    logits: f32[N, V].
    lowest: f32[N, 1] the smallest logit to keep.
    count: i32[N, 1] or a number, tokens to keep.

  Returns:
    f32[N, V] with -inf for what is dropped; NaN stays NaN.
  """
  tied = logits == lowest
  room = count - (logits > lowest).sum(axis=-1, keepdims=True)
  late = tied & (jnp.cumsum(tied, axis=-1) > room)
  return jnp.where((logits < lowest) | late, -jnp.inf, logits)


def draw(logits: Array, uniforms: Array) -> Array:
  """Samples by the inverse of the cumulative distribution, in two stages.

  The first number chooses a block of the vocabulary, the second a token of
  that block: no [N, V] random bits as the Gumbel trick takes, and the 23 bits
  of a float32 uniform resolve a block, not the whole vocabulary.

  Args:
    logits: f32[N, V]; -inf is never drawn.
    uniforms: f32[N, 2] in [0, 1).

  Returns:
    i32[N] tokens.
  """
  p = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
  p = reference.blocks(p)
  chosen = _pick(p.sum(axis=-1), uniforms[:, 0])
  inside = jnp.take_along_axis(p, chosen[:, None, None], axis=1)[:, 0]
  return chosen * reference.BLOCK + _pick(inside, uniforms[:, 1])


def _pick(weights: Array, uniform: Array) -> Array:
  """Finds the first index whose cumulative weight exceeds the uniform's share.

  The cumulative sum is added up as a tree: rounding can change it from one
  index to the next where the weight is 0, and even lower it. So an index must
  have weight to count, and if no cumulative sum exceeds the level (rounded up
  to the total), the last one with weight is taken.

  Args:
    weights: f32[N, M] >= 0, some of each row positive.
    uniform: f32[N] in [0, 1).

  Returns:
    i32[N] indices of positive weight.
  """
  size = weights.shape[-1]
  index = jnp.arange(size, dtype=jnp.int32)
  cumulative = jnp.cumsum(weights, axis=-1)
  level = (uniform * cumulative[:, -1])[:, None]
  drawable = weights > 0
  found = jnp.where(drawable & (cumulative > level), index, size).min(axis=-1)
  return jnp.minimum(found, jnp.where(drawable, index, 0).max(axis=-1))
