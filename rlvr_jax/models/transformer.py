"""The decoder as pure functions of its parameters: what the rest works with."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from rlvr_jax import rng, stats
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.config import DecoderConfig
from rlvr_jax.models.decoder import Cache, Decoder
from rlvr_jax.types import Array, PyTree, TokenBatch


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
    make = lambda: self._decoder(nnx.Rngs(params=0, lora=1))
    self._graphdef = nnx.graphdef(nnx.eval_shape(make))

  def _decoder(self, rngs: nnx.Rngs) -> Decoder:
    return Decoder(self.config, rngs, self.layout and self.layout.mesh)

  def init(self, key: Array) -> PyTree:
    """Random parameters of `config.param_dtype`."""
    rngs = nnx.Rngs(params=key, lora=rng.named(key, "lora"))
    _, state = nnx.split(self._decoder(rngs))
    return nnx.to_pure_dict(state)

  def without_adapters(self) -> "Transformer":
    """The same decoder without low-rank adapters."""
    if self.config.lora is None:
      return self
    config = dataclasses.replace(self.config, lora=None)
    return Transformer(config, self.layout)

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

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """f[B, T, D]: the states that predict the response tokens."""
    prompt = batch.prompt_mask.shape[1]
    length = batch.mask.shape[1]
    answer = jnp.ones((batch.mask.shape[0], length - 1), bool)
    valid = jnp.concatenate([batch.prompt_mask, answer], axis=1)
    segment = None
    if batch.segment is not None:
      segment = batch.segment[:, :-1]
      valid = segment >= 0
    states, _ = self.module(params).full(batch.tokens[:, :-1], valid, segment)
    return states[:, prompt - 1 :]

  def head(self, params: PyTree) -> stats.Head:
    """The output matrix, and where it lives."""
    weights = self.module(params).output()
    return stats.Head(weights, self.config.logit_soft_cap, self.layout)

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
