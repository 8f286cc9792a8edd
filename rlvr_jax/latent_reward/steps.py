"""Steps of a response, and its reward spread over them or over its tokens."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


def ends(marked: Array, mask: Array) -> Array:
  """bool[B, T]: the last token of each step.

  Args:
    marked: bool[B, T] tokens with text that ends a step; several in a row end
      one.
    mask: bool[B, T] counted tokens. The last one ends the last step.
  """
  marked &= mask
  following = jnp.pad(marked, [(0, 0), (0, 1)])[:, 1:]
  return (marked & ~following) | reduce.last_token(mask)


def means(x: Array, mask: Array, last: Array) -> Array:
  """f32[B, T, D]: the mean over each step at its last token, else 0.

  Args:
    x: f32[B, T, D].
    mask: bool[B, T] counted tokens.
    last: bool[B, T] of `ends`.
  """
  ones = jnp.ones_like(x[..., :1])
  inside = jnp.where(mask[..., None], jnp.concatenate([x, ones], axis=-1), 0)
  begins = jnp.pad(last, [(0, 0), (1, 0)])[:, :-1, None]

  def join(earlier, now):
    carried = jnp.where(now[0], 0, earlier[1])
    return earlier[0] | now[0], carried + now[1]

  _, sums = jax.lax.associative_scan(join, (begins, inside), axis=1)
  found = sums[..., :-1] / jnp.maximum(sums[..., -1:], 1)
  return jnp.where(last[..., None], found, 0)


def redistributed(rewards: Array, mask: Array, returns: Array) -> Array:
  """f32[B, T]: rewards shifted alike in a row, so that they sum to its return.

  Args:
    rewards: f32[B, T].
    mask: bool[B, T] the entries that earn.
    returns: f32[B].
  """
  mean = returns / jnp.maximum(reduce.row_length(mask), 1)
  shift = mean - reduce.row_mean(rewards, mask)
  return jnp.where(mask, rewards + shift[:, None], 0)
