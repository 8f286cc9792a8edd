"""Grouped-query attention: what its scores are, and that of one new token.

Shapes: R rows, K key-value heads, G query heads share one of them, h head
size, C positions of a piece of the cache.
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

    Pieces of the cache are taken one after the other, no more of them than the
    longest row fills. A piece that lies behind the end of a row changes no bit
    of it, so rows do not depend on each other's lengths.

    Args:
      q_rkgd: f[R, K, G, h] query of the new token.
      cache: holds the new token, too.
      layer: that this is.
      positions: i32[R] of the new token.

    Returns:
      f[R, K, G, h].
    """
    nothing = jnp.zeros(q_rkgd.shape, jnp.float32)
    empty = jnp.full(q_rkgd.shape[:3], jnp.finfo(jnp.float32).min)
    sums = empty, jnp.zeros_like(empty), nothing
    last, (pieces, number) = positions.max(), cache.of(layer)
    for piece, begin in zip(pieces, cache.begins):

      def add(sums, piece=piece, begin=begin):
        return self._add(sums, q_rkgd, *piece.of(number), begin, positions)

      sums = jax.lax.cond(last >= begin, add, lambda sums: sums, sums)
    _, total, mixed = sums
    return (mixed / total[..., None]).astype(q_rkgd.dtype)

  def _add(self, sums, q_rkgd, k, v, begin, positions):
    """Sums with a piece: highest score, weights f[R, K, G], weighted values."""
    f32 = dict(preferred_element_type=jnp.float32)
    top, total, mixed = sums
    place, at = begin + jnp.arange(v.shape[2]), positions[:, None, None, None]
    scores = self.scores(jnp.einsum("rkgd,rkdc->rkgc", q_rkgd, k, **f32))
    seen = (place <= at) & self.sees(at, place)
    scores = jnp.where(seen, scores, -jnp.inf)
    # Finite, or a piece of which a row sees nothing would make NaN.
    highest = jnp.maximum(top, scores.max(axis=-1))
    shrink = jnp.exp(top - highest)
    weights = jnp.exp(scores - highest[..., None])
    part = jnp.einsum("rkgc,rkcd->rkgd", weights.astype(v.dtype), v, **f32)
    total = total * shrink + weights.sum(axis=-1)
    return highest, total, mixed * shrink[..., None] + part


def of_layer(config: DecoderConfig, window: Array | None) -> Attention:
  """The attention of a layer.

  Args:
    config: of the decoder.
    window: i32[] positions it sees; None for all.
  """
  return Attention(config.score_scale, config.attention_soft_cap, window)
