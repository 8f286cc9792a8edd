"""One layer of the decoder: attention and a gated feed-forward.

Letters: D width, H query and K key-value heads, h head size, F hidden width,
N tokens, r rank of adapters.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from rlvr_jax.models import rope
from rlvr_jax.models.config import DecoderConfig
from rlvr_jax.types import Array

ACTIVATIONS = {"silu": jax.nn.silu, "gelu_tanh": jax.nn.gelu}
LORA_A, LORA_B = "_lora_a", "_lora_b"
# Products whose second operand has a multiple of so many columns add up in one
# order, whatever the first one has; else a row would depend on how many it is.
TILE = 64


def rms_norm(x: Array, weight: Array, config: DecoderConfig) -> Array:
  """Root-mean-square normalisation in float32, returned in x's dtype."""
  x32 = x.astype(jnp.float32)
  mean = jnp.mean(x32 * x32, -1, keepdims=True)
  inverse = jax.lax.rsqrt(mean + config.norm_epsilon)
  scale = weight.astype(jnp.float32)
  if config.norm_offset:
    scale = scale + config.norm_offset
  return (x32 * inverse * scale).astype(x.dtype)


def _weight_last(x: Array, weight: Array, axes: int) -> Array:
  """f[N, out...] of f[N, in...] and f[in..., out...]."""
  return jnp.tensordot(x, weight, axes)


def turned_product(x: Array, weight: Array, axes: int, **how) -> Array:
  """f[N, out...] of f[N, in...] and f[out..., in...], on CPU.

  There the second operand of a product is copied into another order first. If
  that is the small one, it takes two thirds of the time.
  """
  into, out = math.prod(x.shape[-axes:]), weight.shape[: weight.ndim - axes]
  # As matrices: of other shapes, XLA multiplies a few rows otherwise than many.
  a, b = weight.reshape(-1, into), x.reshape(-1, into)
  product = functools.partial(
    jax.lax.dot_general, dimension_numbers=(((1,), (1,)), ((), ())), **how
  )
  if len(a) % TILE or len(b) % TILE:
    return product(b, a).reshape(len(x), *out)
  # Else XLA makes the other order of product and transposition.
  return jax.lax.optimization_barrier(product(a, b)).T.reshape(len(x), *out)


def turned(name: str, weight: Array) -> Array:
  """f[out..., in...] of a matrix f[in..., out...] of this name."""
  into = 2 if name in ("output", "output" + LORA_A) else 1
  first, last = weight.shape[:into], weight.shape[into:]
  # As a matrix: XLA transposes other shapes number by number.
  return weight.reshape(math.prod(first), -1).T.reshape(*last, *first)


class Block(nnx.Module):
  """One layer: attention and a gated feed-forward, each with its residual.

  Tokens stand in one flat axis N: with rows and positions apart, the gradient
  of a weight contracts over two axes, which is several times slower on CPU.

  Args:
    config: sizes and choices.
    rngs: of the weights.
    turned: matrices are as `turned` makes them.
  """

  def __init__(
    self, config: DecoderConfig, rngs: nnx.Rngs, turned: bool = False
  ):
    c = self.config = config
    self.turned = turned
    d, h, f = c.width, c.head_dim, c.hidden
    # Residual branches start small so that depth does not change the scale.
    depth = 2 * c.layers
    self.attention_norm = self._norm(d)
    self._matrix(rngs, "query", 1, d, c.heads, h)
    self._matrix(rngs, "key", 1, d, c.kv_heads, h)
    self._matrix(rngs, "value", 1, d, c.kv_heads, h)
    self._matrix(rngs, "output", depth, c.heads, h, d)
    self.feed_norm = self._norm(d)
    self._matrix(rngs, "gate", 1, d, f)
    self._matrix(rngs, "up", 1, d, f)
    self._matrix(rngs, "down", depth, f, d)
    if c.qk_norm:
      self.query_norm = self._norm(h)
      self.key_norm = self._norm(h)
    if c.post_norms:
      self.attention_post_norm = self._norm(d)
      self.feed_post_norm = self._norm(d)
    if c.qkv_bias:
      self.query_bias = self._zeros(c.heads, h)
      self.key_bias = self._zeros(c.kv_heads, h)
      self.value_bias = self._zeros(c.kv_heads, h)

  def _norm(self, size: int) -> nnx.Param:
    one = 1.0 - self.config.norm_offset
    return nnx.Param(jnp.full(size, one, self.config.param_dtype))

  def _zeros(self, *shape: int) -> nnx.Param:
    return nnx.Param(jnp.zeros(shape, self.config.param_dtype))

  def _matrix(self, rngs: nnx.Rngs, name: str, divisor: int, *shape: int):
    """A weight that takes its first axes in, and its adapters if it has any."""
    lora, into = self.config.lora, 2 if name == "output" else 1
    fan_in = math.prod(shape[:into])
    draw = jax.random.normal(rngs.params(), shape, jnp.float32)
    weight = draw * (fan_in * divisor) ** -0.5
    setattr(self, name, nnx.Param(weight.astype(self.config.param_dtype)))
    if lora is not None and name in lora.targets:
      a = jax.random.normal(rngs.lora(), (*shape[:into], lora.rank))
      # Zeros: training begins at the model itself.
      b = jnp.zeros((lora.rank, *shape[into:]))
      setattr(self, name + LORA_A, nnx.Param(a * fan_in**-0.5))
      setattr(self, name + LORA_B, nnx.Param(b))

  def _times(self, name: str, x: Array) -> Array:
    """A matrix with its adapters applied to f[N, ...]."""
    weight = lambda suffix: getattr(self, name + suffix)[...].astype(x.dtype)
    times = turned_product if self.turned else _weight_last
    axes, lora = x.ndim - 1, self.config.lora
    out = times(x, weight(""), axes)
    if lora is not None and name in lora.targets:
      low = times(x, weight(LORA_A), axes)
      out = out + times(low, weight(LORA_B), 1) * lora.scale
    return out

  def project(
    self, x_nd: Array, turns: rope.Turns
  ) -> tuple[Array, Array, Array]:
    """Queries f[N, H, h], keys and values f[N, K, h] of N tokens, rotated."""
    c = self.config
    x = rms_norm(x_nd, self.attention_norm[...], c)
    q, k, v = (self._times(name, x) for name in ("query", "key", "value"))
    if c.qkv_bias:
      bias = lambda p: p[...].astype(x.dtype)
      q, k = q + bias(self.query_bias), k + bias(self.key_bias)
      v = v + bias(self.value_bias)
    if c.qk_norm:
      q = rms_norm(q, self.query_norm[...], c)
      k = rms_norm(k, self.key_norm[...], c)
    return rope.rotate(q, turns), rope.rotate(k, turns), v

  def finish(self, x_nd: Array, attended_nhk: Array) -> Array:
    """Adds the attention output and the feed-forward to the residual."""
    c = self.config
    out = self._times("output", attended_nhk)
    if c.post_norms:
      out = rms_norm(out, self.attention_post_norm[...], c)
    x = x_nd + out
    y = rms_norm(x, self.feed_norm[...], c)
    gated = ACTIVATIONS[c.activation](self._times("gate", y))
    out = self._times("down", gated * self._times("up", y))
    if c.post_norms:
      out = rms_norm(out, self.feed_post_norm[...], c)
    return x + out
