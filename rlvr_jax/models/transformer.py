"""The decoder as pure functions of its parameters: what the rest works with."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from rlvr_jax import rng, stats
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import cache as cache_lib
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models import rope, sequence
from rlvr_jax.models.block import LORA_A, LORA_B, Block, turned
from rlvr_jax.models.cache import Cache
from rlvr_jax.models.config import MATRICES, DecoderConfig
from rlvr_jax.models.decoder import Decoder
from rlvr_jax.types import Array, PyTree, TokenBatch

# Weights of a layer that a scan may copy at every token without harm.
SMALL = 2**18


class Read(NamedTuple):
  """Prompts that have been read."""

  last: Array  # i32[P] the last token; a response begins with reading it anew
  length: Array  # i32[P] tokens
  cache: Cache


class Decoding(NamedTuple):
  """Parameters as decoding reads them."""

  params: PyTree
  layers: PyTree | list[PyTree]  # the blocks, stacked or one by one
  turns: tuple[rope.Turns, ...]  # of all positions, see `Decoder.turns`


class Transformer:
  """The decoder as pure functions of its parameters (a nested dict).

  The module is split once into its graph and its weights; past this edge
  everything is `f(params, ...)`.

  Args:
    config: sizes and choices.
    layout: of tokens and vocabulary on a mesh; None for one device.
    platform: "cpu", "gpu" or "tpu"; None for that of the layout's devices, or
      of the default device.

  Attributes:
    platform: that it is written for.
    apart: whether decoding has layers written out one by one, which takes
      longer to compile. On CPU a scan copies the weights of a layer and what
      it reads of the cache at every token.
  """

  def __init__(
    self,
    config: DecoderConfig,
    layout: Layout | None = None,
    platform: str | None = None,
  ):
    self.config, self.layout = config, layout
    if layout is not None and platform is None:
      platform = layout.mesh.devices.flat[0].platform
    self.platform = platform or jax.default_backend()
    make = lambda: self._decoder(nnx.Rngs(params=0, lora=1))
    self._graphdef = nnx.graphdef(nnx.eval_shape(make))
    on_cpu = self.platform == "cpu"
    block = lambda: Block(config, nnx.Rngs(params=0, lora=1), on_cpu)
    one = nnx.eval_shape(block)
    self._block = nnx.graphdef(one)
    size = sum(x.size for x in jax.tree.leaves(nnx.state(one)))
    self.apart = on_cpu and size > SMALL

  def _decoder(self, rngs: nnx.Rngs) -> Decoder:
    return Decoder(self.config, rngs, self.layout and self.layout.mesh)

  def init(self, key: Array) -> PyTree:
    """Random parameters of `config.param_dtype`."""
    rngs = nnx.Rngs(params=key, lora=rng.named(key, "lora"))
    _, state = nnx.split(self._decoder(rngs))
    return nnx.to_pure_dict(state)

  def of_one_device(self) -> "Transformer":
    """The same decoder, for code that each device runs by itself."""
    return Transformer(self.config, platform=self.platform)

  @property
  def block(self) -> int:
    """Positions that suit the devices as the unit of the cache's pieces."""
    # A vector register of a TPU holds 128 numbers; on CPU less is wasted.
    return 64 if self.platform == "cpu" else 128

  def without_adapters(self) -> "Transformer":
    """The same decoder without low-rank adapters."""
    if self.config.lora is None:
      return self
    config = dataclasses.replace(self.config, lora=None)
    return Transformer(config, self.layout, self.platform)

  def module(self, params: PyTree) -> Decoder:
    """The decoder with these parameters."""
    return nnx.merge(self._graphdef, params)

  def gathered(self, params: PyTree) -> PyTree:
    """The parameters as decoding wants them, which reads all at every token.

    All but norms, which compute in float32, come in the type of the
    computation, and nothing is split over fsdp: else the weights would be
    rounded and would travel once a token.
    """

    def rounded(path, x):
      norm = path[-1].key.endswith("norm")
      return x if norm else x.astype(self.config.dtype)

    params = jax.tree_util.tree_map_with_path(rounded, params)
    if self.layout is None:
      return params
    where = mesh_lib.gathered(params, self.layout.mesh)
    return jax.lax.with_sharding_constraint(params, where)

  def hidden(
    self, params: PyTree, batch: TokenBatch, siblings: int = 1
  ) -> Array:
    """The states that predict the response tokens.

    Args:
      params: of the decoder.
      batch: the rows.
      siblings: of so many rows side by side the first one's prompt is that of
        all, and is read once; divides B. Prompts have a token then.

    Returns:
      f[B, T, D].
    """
    prompt = batch.prompt_mask.shape[1]
    if siblings > 1 and prompt > 1:
      return self._of_siblings(params, batch, siblings)
    length = batch.mask.shape[1]
    answer = jnp.ones((batch.mask.shape[0], length - 1), bool)
    valid = jnp.concatenate([batch.prompt_mask, answer], axis=1)
    segment = None
    if batch.segment is not None:
      segment = batch.segment[:, :-1]
      valid = segment >= 0
    mesh = self.layout and self.layout.mesh
    spread = sequence.over(mesh, len(valid))
    states, _ = self.module(params).full(
      batch.tokens[:, :-1], valid, segment, spread
    )
    return states[:, prompt - 1 :]

  def _of_siblings(self, params, batch, count) -> Array:
    """`hidden`; a response begins with reading the last prompt token anew."""
    rows, length = batch.mask.shape
    before = batch.prompt_mask.shape[1] - 1
    first = lambda x: x[::count, :before]
    answers = batch.tokens[:, before:-1].reshape(-1, count, length)
    states = self.module(params).siblings(
      first(batch.tokens), first(batch.prompt_mask), answers
    )
    return states.reshape(rows, length, -1)

  def head(self, params: PyTree) -> stats.Head:
    """The output matrix, and where it lives."""
    weights = self.module(params).output()
    return stats.Head(weights, self.config.logit_soft_cap, self.layout)

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """f32[..., V] from f[..., D]."""
    return self.module(params).logits(hidden)

  def prefill(
    self, params: PyTree, tokens: Array, valid: Array, block: int
  ) -> Read:
    """Reads prompts once.

    Args:
      params: of the decoder.
      tokens: i32[P, W] left-padded.
      valid: bool[P, W].
      block: positions that pieces of the cache are made of.
    """
    length = valid.sum(axis=1).astype(jnp.int32)
    # A token's place is its position: prompts of any width fill the same.
    place = jnp.arange(tokens.shape[1]) + (tokens.shape[1] - length)[:, None]
    begun = jnp.take_along_axis(tokens, place % tokens.shape[1], axis=1)
    here = jnp.arange(tokens.shape[1]) < length[:, None]
    _, kv = self.module(params).full(begun, here)
    cache = cache_lib.of_sequences(*kv, block, self._stacks)
    return Read(tokens[:, -1], length, cache)

  def decoding(self, params: PyTree, length: int) -> Decoding:
    """What `step` and `next_logits` want, of the parameters of `gathered`.

    Args:
      params: of `gathered`.
      length: positions that rows may come to.
    """
    turn = _turned if self.platform == "cpu" else lambda block: block
    if self.apart:
      one = lambda n: jax.tree.map(lambda x: x[n], params["blocks"])
      layers = [turn(one(n)) for n in range(self.config.layers)]
    else:
      layers = jax.vmap(turn)(params["blocks"])
    # Looked up at every token: in a loop of tokens the compiler would make them
    # anew for each head of each layer.
    turns = self.module(params).turns(jnp.arange(length))
    return Decoding(params, layers, turns)

  @property
  def _stacks(self) -> int:
    """Of how many the layers of the cache are made."""
    return self.config.layers if self.apart else 1

  def step(
    self, weights: Decoding, tokens: Array, positions: Array, cache: Cache
  ) -> tuple[Array, Cache]:
    """One new token per row, see `Decoder.step`."""
    block = functools.partial(nnx.merge, self._block)
    turns = jax.tree.map(lambda x: x[positions], weights.turns)
    module = self.module(weights.params)
    return module.step(tokens, positions, turns, cache, weights.layers, block)

  def next_logits(self, weights: Decoding, hidden: Array) -> Array:
    """f32[R, V] from f[R, D]."""
    few = self.platform == "cpu"
    return self.module(weights.params).logits(hidden, few)

  def empty_cache(self, rows: int, length: int, block: int) -> Cache:
    """A cache for `length` positions of every row."""
    return cache_lib.empty(self.config, rows, length, block, self._stacks)


def _turned(block: PyTree) -> PyTree:
  """The weights of a block, its matrices as a turned `Block` wants them."""
  matrices = {f"{m}{s}" for m in MATRICES for s in ("", LORA_A, LORA_B)}
  return {
    name: turned(name, x) if name in matrices else x
    for name, x in block.items()
  }
