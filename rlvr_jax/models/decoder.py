"""A decoder-only transformer: full pass and cached decode, one set of weights.

RoPE, grouped-query attention, RMSNorm, SwiGLU; the layers are stacked on a
leading axis and applied by a scan, so compile time does not grow with depth.

Letters: B rows, S positions, D width, L layers, H query and K key-value
heads, h head size, F hidden width, V vocabulary, N tokens; P prompts of G rows.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rlvr_jax import stats
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import attention
from rlvr_jax.types import Array, PyTree, TokenBatch

SMALL_VOCABULARY = 512


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
  """Sizes and choices of a decoder.

  Attributes:
    vocabulary: tokens V.
    width: D.
    layers: L.
    heads: query heads H.
    kv_heads: key-value heads K, divides H.
    head_dim: h, even.
    hidden: width F of the feed-forward layer.
    rope_theta: base of the rotary wave lengths.
    norm_epsilon: of RMSNorm.
    qk_norm: RMSNorm on queries and keys per head (Qwen3).
    tied: the output matrix is the embedding.
    dtype: compute type, "float32" or "bfloat16"; weights stay float32.
    remat: recompute each layer in the backward pass instead of storing it.
  """

  vocabulary: int
  width: int = 128
  layers: int = 4
  heads: int = 4
  kv_heads: int = 2
  head_dim: int = 32
  hidden: int = 384
  rope_theta: float = 10_000.0
  norm_epsilon: float = 1e-6
  qk_norm: bool = False
  tied: bool = True
  dtype: str = "float32"
  remat: bool = False


class Cache(NamedTuple):
  """Keys and values of all layers, and which positions hold one."""

  keys: Array  # f[L, P, K, W, h] of prompts, f[L, P, G, K, N, h] of rows
  values: Array
  valid: Array  # bool[P, W] of prompts, bool[N] of rows


def rms_norm(x: Array, scale: Array, epsilon: float) -> Array:
  """Root-mean-square normalisation in float32, returned in x's dtype."""
  x32 = x.astype(jnp.float32)
  inverse = jax.lax.rsqrt(jnp.mean(x32 * x32, -1, keepdims=True) + epsilon)
  return (x32 * inverse * scale).astype(x.dtype)


class Block(nnx.Module):
  """One layer: attention and a gated feed-forward, each with its residual.

  Tokens stand in one flat axis N: with rows and positions apart, the gradient
  of a weight contracts over two axes, which is several times slower on CPU.
  """

  def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
    c = self.config = config
    d, h, f = c.width, c.head_dim, c.hidden

    def matrix(fan_in, *shape):
      draw = jax.random.normal(rngs.params(), shape, jnp.float32)
      return nnx.Param(draw * fan_in**-0.5)

    # Residual branches start small so that depth does not change the scale.
    depth = 2 * c.layers
    self.attention_norm = nnx.Param(jnp.ones(d))
    self.query = matrix(d, d, c.heads, h)
    self.key = matrix(d, d, c.kv_heads, h)
    self.value = matrix(d, d, c.kv_heads, h)
    self.output = matrix(c.heads * h * depth, c.heads, h, d)
    self.feed_norm = nnx.Param(jnp.ones(d))
    self.gate = matrix(d, d, f)
    self.up = matrix(d, d, f)
    self.down = matrix(f * depth, f, d)
    if c.qk_norm:
      self.query_norm = nnx.Param(jnp.ones(h))
      self.key_norm = nnx.Param(jnp.ones(h))

  def project(self, x_nd: Array, positions: Array) -> tuple[Array, ...]:
    """Queries f[N, H, h], keys and values f[N, K, h] of N tokens, rotated."""
    c, dtype = self.config, x_nd.dtype
    x = rms_norm(x_nd, self.attention_norm[...], c.norm_epsilon)
    heads = lambda w: jnp.einsum("nd,dkh->nkh", x, w[...].astype(dtype))
    q, k, v = heads(self.query), heads(self.key), heads(self.value)
    if c.qk_norm:
      q = rms_norm(q, self.query_norm[...], c.norm_epsilon)
      k = rms_norm(k, self.key_norm[...], c.norm_epsilon)
    rotate = lambda y: attention.rotate(y, positions, c.rope_theta)
    return rotate(q), rotate(k), v

  def finish(self, x_nd: Array, attended_nhk: Array) -> Array:
    """Adds the attention output and the feed-forward to the residual."""
    c, dtype = self.config, x_nd.dtype
    w = lambda p: p[...].astype(dtype)
    x = x_nd + jnp.einsum("nhk,hkd->nd", attended_nhk, w(self.output))
    y = rms_norm(x, self.feed_norm[...], c.norm_epsilon)
    gated = jax.nn.silu(y @ w(self.gate)) * (y @ w(self.up))
    return x + gated @ w(self.down)


class Decoder(nnx.Module):
  """Embedding, stacked blocks, final norm and output matrix."""

  def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
    c = self.config = config
    shape = (c.vocabulary, c.width)
    scale = c.width**-0.5
    draw = lambda: scale * jax.random.normal(rngs.params(), shape)
    self.embedding = nnx.Param(draw())
    self.final_norm = nnx.Param(jnp.ones(c.width))
    if not c.tied:
      self.head = nnx.Param(draw())

    @nnx.split_rngs(splits=c.layers)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def stack(rngs):
      return Block(c, rngs)

    self.blocks = stack(rngs)

  def embed(self, tokens: Array) -> Array:
    """f[..., D] from i32[...]; unit scale whatever the width."""
    table = self.embedding[...]
    if self.config.vocabulary <= SMALL_VOCABULARY:
      # A matrix product: the scatter of a gather's gradient is slow on CPU.
      x = jax.nn.one_hot(tokens, self.config.vocabulary) @ table
    else:
      x = table[tokens]
    return (x * self.config.width**0.5).astype(self.config.dtype)

  def output(self) -> Array:
    """f[V, D]: what turns states into logits."""
    head = self.embedding if self.config.tied else self.head
    return head[...].astype(self.config.dtype)

  def logits(self, hidden: Array) -> Array:
    """f32[..., V] from f[..., D]."""
    return jnp.einsum(
      "...d,vd->...v",
      hidden,
      self.output(),
      preferred_element_type=jnp.float32,
    )

  def norm(self, x: Array) -> Array:
    """The final normalisation."""
    return rms_norm(x, self.final_norm[...], self.config.norm_epsilon)

  def scan(self, layer, x: Array, extra: PyTree = None):
    """Applies `layer(block, x, extra of the layer) -> (x, out)` to each."""
    graphdef, stacked = nnx.split(self.blocks)

    def body(x, inputs):
      weights, per_layer = inputs
      return layer(nnx.merge(graphdef, weights), x, per_layer)

    if self.config.remat:
      body = jax.checkpoint(body)
    return jax.lax.scan(body, x, (stacked, extra))

  def full(self, tokens: Array, valid: Array) -> tuple[Array, tuple]:
    """All positions at once.

    Args:
      tokens: i32[B, S].
      valid: bool[B, S]; padding stands on the left.

    Returns:
      Normalised states f[B, S, D], and keys and values f[L, B, S, K, h].
    """
    shape = tokens.shape
    positions = jnp.maximum(jnp.cumsum(valid, axis=1) - 1, 0).reshape(-1)

    def layer(block, x, _):
      q, k, v = (
        y.reshape(*shape, *y.shape[1:]) for y in block.project(x, positions)
      )
      out = attention.causal(q, k, v, valid)
      return block.finish(x, out.reshape(-1, *out.shape[2:])), (k, v)

    x, cache = self.scan(layer, self.embed(tokens.reshape(-1)))
    return self.norm(x).reshape(*shape, -1), cache

  def step(
    self, tokens: Array, positions: Array, prompt: Cache, own: Cache
  ) -> tuple[Array, tuple]:
    """One new token per row against the caches.

    Args:
      tokens: i32[P, G].
      positions: i32[P, G].
      prompt: cache of the P prompts.
      own: cache of what each row has produced before.

    Returns:
      Normalised states f[P, G, D], and the new keys and values
      f[L, P, G, K, h] for the caller to put into its cache.
    """
    shape, c = tokens.shape, self.config

    def layer(block, x, caches):
      q, k, v = block.project(x, positions.reshape(-1))
      pk, pv, ok, ov = caches
      k, v = (y.reshape(*shape, c.kv_heads, c.head_dim) for y in (k, v))
      q = q.reshape(*shape, c.kv_heads, -1, c.head_dim)
      prompts, past = (pk, pv, prompt.valid), (ok, ov, own.valid)
      out = attention.decode(q, k, v, prompts, past)
      return block.finish(x, out.reshape(-1, c.heads, c.head_dim)), (k, v)

    caches = (prompt.keys, prompt.values, own.keys, own.values)
    x, new = self.scan(layer, self.embed(tokens.reshape(-1)), caches)
    return self.norm(x).reshape(*shape, -1), new


class Transformer:
  """The decoder as pure functions of its parameters (a nested dict).

  The module is split once into its graph and its weights; past this edge
  everything is `f(params, ...)`.

  Args:
    config: sizes and choices.
    layout: of tokens and vocabulary on a mesh; None for one device.
  """

  def __init__(self, config: DecoderConfig, layout: Layout | None = None):
    self.config, self.layout = config, layout
    make = lambda: Decoder(config, nnx.Rngs(params=0))
    self._graphdef = nnx.graphdef(nnx.eval_shape(make))

  def init(self, key: Array) -> PyTree:
    """Random parameters, float32."""
    _, state = nnx.split(Decoder(self.config, nnx.Rngs(params=key)))
    return nnx.to_pure_dict(state)

  def module(self, params: PyTree) -> Decoder:
    """The decoder with these parameters."""
    return nnx.merge(self._graphdef, params)

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """f[B, T, D]: the states that predict the response tokens."""
    prompt = batch.prompt_mask.shape[1]
    length = batch.mask.shape[1]
    answer = jnp.ones((batch.mask.shape[0], length - 1), bool)
    valid = jnp.concatenate([batch.prompt_mask, answer], axis=1)
    states, _ = self.module(params).full(batch.tokens[:, :-1], valid)
    return states[:, prompt - 1 :]

  def head(self, params: PyTree) -> stats.Head:
    """The output matrix, and where it lives."""
    return stats.Head(self.module(params).output(), layout=self.layout)

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """f32[..., V] from f[..., D]."""
    return self.module(params).logits(hidden)

  def prefill(
    self, params: PyTree, tokens: Array, valid: Array
  ) -> tuple[Array, Cache]:
    """Reads prompts once.

    Args:
      params: of the decoder.
      tokens: i32[P, W] left-padded.
      valid: bool[P, W].

    Returns:
      The state after each prompt f[P, D] and the prompts' Cache.
    """
    states, kv = self.module(params).full(tokens, valid)
    keys, values = (x.swapaxes(2, 3) for x in kv)  # heads before positions
    return states[:, -1], Cache(keys, values, valid)

  def step(
    self,
    params: PyTree,
    tokens: Array,
    positions: Array,
    prompt: Cache,
    own: Cache,
  ) -> tuple[Array, tuple]:
    """One new token per row, see `Decoder.step`."""
    return self.module(params).step(tokens, positions, prompt, own)

  def empty_cache(self, prompts: int, per_prompt: int, length: int) -> Cache:
    """A cache for `length` response tokens of every row."""
    c = self.config
    shape = (c.layers, prompts, per_prompt, c.kv_heads, length, c.head_dim)
    zeros = jnp.zeros(shape, c.dtype)
    return Cache(zeros, zeros, jnp.zeros(length, bool))
