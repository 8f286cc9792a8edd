"""Grouped-query attention: what its scores are, and that of one new token.

Shapes: H query heads, K key-value heads, h head size; R = H / K query heads
share a key-value head. P prompts with G rows each.
"""

import dataclasses

import jax
import jax.numpy as jnp

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
    self,
    q_pgkrd: Array,
    k_pgkd: Array,
    v_pgkd: Array,
    prompt: tuple[Array, Array, Array],
    own: tuple[Array, Array, Array],
    positions: Array,
  ) -> Array:
    """Attention of one new token per row to prompt, own past and itself.

    The prompt's keys stand in memory once for the G rows that share them.

    Args:
      q_pgkrd: f[P, G, K, R, h] query of the new token.
      k_pgkd: f[P, G, K, h] its key.
      v_pgkd: f[P, G, K, h] its value.
      prompt: keys f[P, K, W, h], values f[P, K, W, h], valid bool[P, W].
      own: keys f[P, G, K, N, h], values f[P, G, K, N, h], valid bool[N].
      positions: i32[P, G] of the new token.

    Returns:
      f[P, G, K, R, h].
    """
    f32 = dict(preferred_element_type=jnp.float32)
    shared = jnp.einsum("pgkrd,pkwd->pgkrw", q_pgkrd, prompt[0], **f32)
    past = jnp.einsum("pgkrd,pgknd->pgkrn", q_pgkrd, own[0], **f32)
    itself = jnp.einsum("pgkrd,pgkd->pgkr", q_pgkrd, k_pgkd, **f32)[..., None]
    in_prompt, in_past = self._reach(prompt[2], own[2], positions)
    shared = jnp.where(in_prompt, self.scores(shared), -jnp.inf)
    past = jnp.where(in_past, self.scores(past), -jnp.inf)
    scores = jnp.concatenate([shared, past, self.scores(itself)], axis=-1)
    weights = jax.nn.softmax(scores, axis=-1).astype(q_pgkrd.dtype)
    width, length = shared.shape[-1], past.shape[-1]
    w_shared, w_past, w_self = jnp.split(weights, [width, width + length], -1)
    return (
      jnp.einsum("pgkrw,pkwd->pgkrd", w_shared, prompt[1])
      + jnp.einsum("pgkrn,pgknd->pgkrd", w_past, own[1])
      + w_self * v_pgkd[:, :, :, None]
    )

  def _reach(self, prompt, own, positions):
    """Which keys the new tokens see: bool[P, G|1, 1, 1, W] and [..., N]."""
    if self.window is None:
      return prompt[:, None, None, None], own
    place = jnp.cumsum(prompt, axis=1) - 1
    first = place[:, -1:] + 1  # of the response
    at = positions[:, :, None, None, None]
    near = self.sees(at, place[:, None, None, None])
    own_place = first + jnp.arange(own.shape[0])
    recent = self.sees(at, own_place[:, None, None, None])
    return prompt[:, None, None, None] & near, own & recent


def of_layer(config: DecoderConfig, window: Array | None) -> Attention:
  """The attention of a layer.

  Args:
    config: of the decoder.
    window: i32[] positions it sees; None for all.
  """
  return Attention(config.score_scale, config.attention_soft_cap, window)
