"""A decoder-only transformer: full pass and cached decode, one set of weights.

RoPE, grouped-query attention, RMSNorm, gated feed-forward; the layers are
stacked on a leading axis and applied by a scan, so compile time does not grow
with depth.

Letters: B rows, S positions, D width, L layers, K key-value heads, h head size,
V vocabulary, N tokens, R rows that decode.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rlvr_jax.models import attention, rope, sequence, whole
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.block import Block, rms_norm, turned_product
from rlvr_jax.models.cache import Cache
from rlvr_jax.models.config import DecoderConfig
from rlvr_jax.types import Array, PyTree

SMALL_VOCABULARY = 512
# What is not computed again, by `DecoderConfig.remat`.
KEPT = {
  "selective": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  "full": jax.checkpoint_policies.nothing_saveable,
}
EVERYTHING = np.iinfo(np.int32).max  # a window that ends nowhere


class Layer(NamedTuple):
  """What differs between layers besides their weights; None: nothing does."""

  windowed: Array | None  # bool[L], whether their rotary embedding differs
  window: Array | None  # i32[L]


class Decoder(nnx.Module):
  """Embedding, stacked blocks, final norm and output matrix."""

  def __init__(
    self,
    config: DecoderConfig,
    rngs: nnx.Rngs,
    mesh: jax.sharding.Mesh | None = None,
  ):
    c = self.config = config
    self.mesh = mesh
    shape = (c.vocabulary, c.width)

    def table():
      draw = jax.random.normal(rngs.params(), shape) * c.width**-0.5
      return nnx.Param(draw.astype(c.param_dtype))

    self.embedding = table()
    one = jnp.full(c.width, 1.0 - c.norm_offset, c.param_dtype)
    self.final_norm = nnx.Param(one)
    if not c.tied:
      self.head = table()

    @nnx.split_rngs(splits=c.layers)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def stack(rngs):
      return Block(c, rngs)

    self.blocks = stack(rngs)

  def embed(self, tokens: Array) -> Array:
    """f[..., D] from i32[...]."""
    c, table = self.config, self.embedding[...]
    if c.vocabulary <= SMALL_VOCABULARY:
      # A matrix product: the scatter of a gather's gradient is slow on CPU.
      hot = jax.nn.one_hot(tokens, c.vocabulary, dtype=table.dtype)
      x = (hot @ table).astype(c.dtype)
    else:
      x = table[tokens].astype(c.dtype)
    # The scale has the compute type too: so Gemma was trained.
    return x * jnp.asarray(c.width**0.5, c.dtype) if c.scaled_embedding else x

  def _by_row(self, x: Array) -> Array:
    """f[N, D] as `Spread` has it, which stays on the devices of its tokens.

    Left to itself the compiler may split the width as the weights are split,
    and add up activations over devices in every layer.
    """
    if self.mesh is None or x.shape[0] % mesh_lib.row_parts(self.mesh):
      return x
    return jax.lax.with_sharding_constraint(x, mesh_lib.by_row(self.mesh))

  def output(self) -> Array:
    """f[V, D]: what turns states into logits."""
    head = self.embedding if self.config.tied else self.head
    return head[...].astype(self.config.dtype)

  def logits(self, hidden: Array, few: bool = False) -> Array:
    """f32[..., V] from f[..., D]; few: of some rows on CPU."""
    f32 = dict(preferred_element_type=jnp.float32)
    if few:
      z = turned_product(hidden, self.output(), 1, **f32)
    else:
      z = jnp.einsum("...d,vd->...v", hidden, self.output(), **f32)
    cap = self.config.logit_soft_cap
    return z if cap is None else cap * jnp.tanh(z / cap)

  def norm(self, x: Array) -> Array:
    """The final normalisation."""
    return rms_norm(x, self.final_norm[...], self.config)

  def _layers(self) -> Layer:
    """The differences between layers, stacked."""
    c = self.config
    if not any(c.windowed):
      return Layer(None, None)
    windowed = jnp.asarray(c.windowed)
    window = jnp.where(windowed, c.window, EVERYTHING).astype(jnp.int32)
    return Layer(None if c.windowed_rope is None else windowed, window)

  def turns(self, positions: Array) -> tuple[rope.Turns, ...]:
    """The rotary embedding of tokens at positions i32[N].

    One for all layers, or that of those without a window and that of those
    with one.
    """
    c = self.config
    kinds = (c.rope,) if c.windowed_rope is None else (c.rope, c.windowed_rope)
    waves = (rope.frequencies(kind, c.head_dim) for kind in kinds)
    return tuple(rope.turns(positions, frequency) for frequency in waves)

  def _how(
    self, layer: Layer, turns: tuple[rope.Turns, ...]
  ) -> tuple[rope.Turns, attention.Attention]:
    """The rotary embedding and the attention of a layer."""
    windowed, window = layer
    far, *near = turns
    if windowed is not None:
      far = jax.tree.map(lambda f, n: jnp.where(windowed, n, f), far, *near)
    return far, attention.of_layer(self.config, window)

  def scan(self, layer: Callable, x: Array, positions: Array):
    """Applies `layer(block, turns, attention, x) -> (x, out)` to each."""
    graphdef, stacked = nnx.split(self.blocks)
    turns = self.turns(positions)

    def body(x, inputs):
      weights, how = inputs
      block = nnx.merge(graphdef, weights)
      x, out = layer(block, *self._how(how, turns), x)
      return self._by_row(x), out

    if self.config.remat != "none":
      body = jax.checkpoint(body, policy=KEPT[self.config.remat])
    return jax.lax.scan(body, self._by_row(x), (stacked, self._layers()))

  def full(
    self,
    tokens: Array,
    valid: Array,
    segment: Array | None = None,
    spread: sequence.Spread = sequence.TOGETHER,
  ) -> tuple[Array, tuple]:
    """All positions at once.

    Args:
      tokens: i32[B, S].
      valid: bool[B, S]; padding stands on the left.
      segment: i32[B, S] number of the sequence that a position is of, each in
        one piece, padding wherever; None for one sequence a row.
      spread: what of it lies on which device.

    Returns:
      Normalised states f[B, S, D], and keys and values f[L, B, S, K, h]; with
      positions split also of what was padded.
    """
    rows, length = tokens.shape
    tokens, valid = spread.padded(tokens, 0), spread.padded(valid, False)
    if segment is not None:
      segment = spread.padded(segment, -1)
    positions = spread.flat(_positions(valid, segment))
    split = spread.parts > 1

    def layer(block, turns, attend, x):
      q, k, v = (spread.back(y, rows) for y in block.project(x, turns))
      out = whole.causal(attend, q, k, v, valid, segment, self.mesh, split)
      return block.finish(x, spread.flat(out)), (k, v)

    x, cache = self.scan(layer, self.embed(spread.flat(tokens)), positions)
    return spread.back(self.norm(x), rows)[:, :length], cache

  def siblings(self, prompts: Array, valid: Array, answers: Array) -> Array:
    """All positions of answers to prompts that are computed once.

    Args:
      prompts: i32[G, P] that stand before the answers.
      valid: bool[G, P]; padding stands on the left.
      answers: i32[G, n, T] tokens of the n that continue each prompt.

    Returns:
      Normalised states f[G, n, T, D] of the answers.
    """
    groups, before, (_, count, length) = *prompts.shape, answers.shape
    ones = jnp.ones((groups, count, length), bool)
    everything = jnp.concatenate(
      [jnp.repeat(valid[:, None], count, axis=1), ones], axis=2
    ).reshape(groups * count, -1)

    def apart(x):
      """[G P + G n T, ...] to [G, P, ...] and [G n, T, ...]."""
      x = x.reshape(groups, -1, *x.shape[1:])
      own = x[:, before:]
      return x[:, :before], own.reshape(-1, length, *own.shape[2:])

    def together(first, rest):
      rest = rest.reshape(groups, count * length, *rest.shape[2:])
      x = jnp.concatenate([first, rest], axis=1)
      return x.reshape(-1, *x.shape[2:])

    def layer(block, turns, attend, x):
      q, k, v = (apart(y) for y in block.project(x, turns))
      read = whole.causal(attend, q[0], k[0], v[0], valid, None, self.mesh)
      keys, values = (
        jnp.concatenate([jnp.repeat(y[0], count, axis=0), y[1]], axis=1)
        for y in (k, v)
      )
      told = whole.causal(
        attend, q[1], keys, values, everything, None, self.mesh
      )
      out = together(read, told)
      return block.finish(x, out), None

    tokens = together(prompts, answers.reshape(-1, length))
    places = _positions(everything, None)
    places = together(places[::count, :before], places[:, before:])
    x, _ = self.scan(layer, self.embed(tokens), places)
    _, x = apart(x)
    return self.norm(x).reshape(groups, count, length, -1)

  def step(
    self,
    tokens: Array,
    positions: Array,
    turns: tuple[rope.Turns, ...],
    cache: Cache,
    layers: PyTree | list[PyTree],
    block: Callable[[PyTree], Block],
  ) -> tuple[Array, Cache]:
    """One new token per row against the cache.

    Args:
      tokens: i32[R].
      positions: i32[R] of the tokens in their rows.
      turns: of `turns` at these positions.
      cache: of what the rows hold before them.
      layers: weights of the blocks, stacked or one by one.
      block: makes one of its weights.

    Returns:
      Normalised states f[R, D], and the cache with the tokens.
    """
    c = self.config

    def layer(block, turns, attend, x, cache, number):
      q, k, v = block.project(x, turns)
      cache = cache.put(number, positions, k, v)
      q = q.reshape(len(q), c.kv_heads, -1, c.head_dim)
      out = attend.decode(q, cache, number, positions)
      return block.finish(x, out.reshape(-1, c.heads, c.head_dim)), cache

    def one(carry, inputs):
      weights, how, number = inputs
      how = self._how(how, turns)
      return layer(block(weights), *how, *carry, number), None

    carry, hows = (self.embed(tokens), cache), self._layers()
    if isinstance(layers, list):
      for number, weights in enumerate(layers):
        how = jax.tree.map(lambda x, n=number: x[n], hows)
        carry, _ = one(carry, (weights, how, number))
    else:
      numbers = jnp.arange(self.config.layers)
      carry, _ = jax.lax.scan(one, carry, (layers, hows, numbers))
    x, cache = carry
    return self.norm(x), cache


def _positions(valid: Array, segment: Array | None) -> Array:
  """i32[B, S]: positions in the sequence, from 0 on in each segment."""
  if segment is None:
    return jnp.maximum(jnp.cumsum(valid, axis=1) - 1, 0)
  place = jnp.broadcast_to(jnp.arange(segment.shape[1]), segment.shape)
  begins = jnp.diff(segment, axis=1, prepend=segment[:, :1]) != 0
  return place - jax.lax.cummax(jnp.where(begins, place, 0), axis=1)
