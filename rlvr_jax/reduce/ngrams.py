"""Runs of tokens that occur more than once in a row."""

import jax
import jax.numpy as jnp

from rlvr_jax.reduce.groups import group_count, subgroup

Array = jax.Array


def repetition(tokens: Array, mask: Array, n: int) -> Array:
  """How often the n-gram that a row repeats most occurs in it.

  Exact, without a hash. Occurrences may overlap: five equal tokens hold four
  equal bigrams.

  Args:
    tokens: i32[B, T] of any values.
    mask: bool[B, T] counted tokens; an n-gram is of neighbours that all count.
    n: tokens of an n-gram, >= 1.

  Returns:
    f32[B]; 0 for rows without n neighbours that count, 1 where all differ.
  """
  return jax.vmap(group_count)(_numbered(tokens, mask, n)).max(axis=1)


def _numbered(tokens: Array, mask: Array, n: int) -> Array:
  """i32[B, T]: a number in [0, T) that equal n-grams of a row share.

  It stands where the n-gram begins; -1 where none does. A run of 2 k tokens is
  a pair of runs of k, so that sorting pairs of numbers doubles the length:
  about log2(n) sorts of T numbers, and no array larger than [B, T].
  """
  number = jnp.where(mask, 0, -1).astype(jnp.int32)
  if n > tokens.shape[1]:
    return jnp.full_like(number, -1)
  pair = jax.vmap(subgroup)
  number, length = pair(number, tokens), 1
  while length < n:
    # Two runs that overlap make one of any length up to twice theirs.
    step = min(length, n - length)
    later = jnp.pad(number, [(0, 0), (0, step)], constant_values=-1)[:, step:]
    number = pair(jnp.where(later < 0, -1, number), later)
    length += step
  return number
