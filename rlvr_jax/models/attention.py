"""Grouped-query attention, of a whole sequence and of one new token.

Shapes: B rows, S positions, H query heads, K key-value heads, h head size;
R = H / K query heads share a key-value head. P prompts with G rows each.
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

  def causal(
    self,
    q_bshd: Array,
    k_bskd: Array,
    v_bskd: Array,
    valid: Array,
    segment: Array | None = None,
  ) -> Array:
    """Attention of every position to the valid ones up to itself.

    Args:
      q_bshd: f[B, S, H, h] queries.
      k_bskd: f[B, S, K, h] keys.
      v_bskd: f[B, S, K, h] values.
      valid: bool[B, S] positions that may be attended to, in one piece.
      segment: i32[B, S]; positions of different numbers do not see each other.
        None for one sequence a row.

    Returns:
      f[B, S, H, h].
    """
    length = q_bshd.shape[1]
    place = jnp.arange(length)
    mask = jnp.tril(jnp.ones((length, length), bool)) & valid[:, None, :]
    if segment is not None:
      mask &= segment[:, :, None] == segment[:, None, :]
    mask = (mask & self.sees(place[:, None], place))[:, None]
    if self.soft_cap is None:
      return jax.nn.dot_product_attention(
        q_bshd, k_bskd, v_bskd, mask=mask, scale=self.scale
      )
    return self._written_out(q_bshd, k_bskd, v_bskd, mask)

  def _written_out(self, q_bshd, k_bskd, v_bskd, mask) -> Array:
    """With capped scores, which the library's attention does not know."""
    grouped = q_bshd.reshape(*k_bskd.shape[:3], -1, q_bshd.shape[-1])
    products = jnp.einsum(
      "bskrd,btkd->bkrst",
      grouped,
      k_bskd,
      preferred_element_type=jnp.float32,
    )
    # A padded query sees nothing: any finite number keeps it from NaN.
    least = jnp.finfo(jnp.float32).min
    scores = jnp.where(mask[:, None], self.scores(products), least)
    weights = jax.nn.softmax(scores, axis=-1).astype(q_bshd.dtype)
    out = jnp.einsum("bkrst,btkd->bskrd", weights, v_bskd)
    return out.reshape(q_bshd.shape)

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
