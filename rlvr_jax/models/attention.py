"""Grouped-query attention: what its scores are, and that of one new token.

Shapes: R rows, K key-value heads, G query heads share one of them, h head
size, C positions of a block.
"""

import dataclasses

import jax
import jax.numpy as jnp

from rlvr_jax.models.cache import Cache
from rlvr_jax.models.config import DecoderConfig

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Attention:
  """How scores become weights.

  Attributes:
    scale: of query times key.
    soft_cap: c of c tanh(score / c), or None.
    window: i32[] positions a query sees, itself included; None for all.
  """

  scale: float
  soft_cap: float | None = None
  window: Array | None = None

  def scores(self, products: Array) -> Array:
    """f32 scores of f32 products of query and key."""
    scores = products * self.scale
    if self.soft_cap is None:
      return scores
    return self.soft_cap * jnp.tanh(scores / self.soft_cap)

  def sees(self, query: Array, key: Array) -> Array:
    """Whether a query position sees an earlier key position."""
    if self.window is None:
      return jnp.bool(True)
    return query - key < self.window

  def decode(
    self, q_rkgd: Array, cache: Cache, layer: Array | int, positions: Array
  ) -> Array:
    """Attention of one new token per row to what its row holds so far.

    Blocks of positions are taken one after the other, no more of them than the
    longest row fills. A block that lies behind the end of a row changes no bit
    of it, so rows do not depend on each other's lengths.

    Args:
      q_rkgd: f[R, K, G, h] query of the new token.
      cache: holds the new token, too.
      layer: that this is.
      positions: i32[R] of the new token.

    Returns:
      f[R, K, G, h].
    """
    f32 = dict(preferred_element_type=jnp.float32)

    def block(number, sums):
      top, total, mixed = sums
      k, v = cache.block(layer, number)
      place = number * cache.size + jnp.arange(cache.size)
      at = positions[:, None, None, None]
      scores = self.scores(jnp.einsum("rkgd,rkdc->rkgc", q_rkgd, k, **f32))
      seen = (place <= at) & self.sees(at, place)
      scores = jnp.where(seen, scores, -jnp.inf)
      # Finite, or a block of which a row sees nothing would make NaN.
      highest = jnp.maximum(top, scores.max(axis=-1))
      shrink = jnp.exp(top - highest)
      weights = jnp.exp(scores - highest[..., None])
      part = jnp.einsum("rkgc,rkcd->rkgd", weights.astype(v.dtype), v, **f32)
      total = total * shrink + weights.sum(axis=-1)
      return highest, total, mixed * shrink[..., None] + part

    empty = jnp.full(q_rkgd.shape[:3], jnp.finfo(jnp.float32).min)
    nothing = jnp.zeros(q_rkgd.shape, jnp.float32)
    blocks = positions.max() // cache.size + 1
    start = empty, jnp.zeros_like(empty), nothing
    _, total, mixed = jax.lax.fori_loop(0, blocks, block, start)
    return (mixed / total[..., None]).astype(q_rkgd.dtype)


def of_layer(config: DecoderConfig, window: Array | None) -> Attention:
  """The attention of a layer.

  Args:
    config: of the decoder.
    window: i32[] positions it sees; None for all.
  """
  return Attention(config.score_scale, config.attention_soft_cap, window)
