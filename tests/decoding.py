"""Decoding of given tokens with the cache, for tests of models."""

import jax
import jax.numpy as jnp

from rlvr_jax.models import Transformer
from rlvr_jax.types import Array, PyTree


def logits(
  model: Transformer,
  params: PyTree,
  prompts: Array,
  valid: Array,
  following: Array,
  block: int = 4,
) -> Array:
  """f32[B, N, V]: what follows prompts, token after token.

  Args:
    model: a decoder.
    params: of the model.
    prompts: i32[B, W] left-padded.
    valid: bool[B, W].
    following: i32[B, N]; the last token is not read.
    block: positions that pieces of the cache are made of.
  """
  rows, count = following.shape
  read = model.prefill(params, prompts, valid, block)
  length = prompts.shape[1] + count
  cache = model.empty_cache(rows, length, block)
  for row in jnp.arange(rows):
    cache = cache.copied(read.cache, row, row)
  weights = model.decoding(model.gathered(params), length)

  @jax.jit
  def step(token, position, cache):
    hidden, cache = model.step(weights, token, position, cache)
    return model.next_logits(weights, hidden), cache

  found, token = [], read.last
  for n in range(count):
    z, cache = step(token, read.length - 1 + n, cache)
    found.append(z)
    token = following[:, n]
  return jnp.stack(found, axis=1)
