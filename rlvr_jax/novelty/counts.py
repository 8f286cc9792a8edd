"""How often something was there: in a group, and in a table of all training."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


def number(keys: Array, group: Array, sequential: bool = False) -> Array:
  """Rows of the same group with the same key, each row itself included.

  Args:
    keys: i32[B]; -1 none.
    group: i32[B] group number in [0, B); -1 joins no group.
    sequential: count only the rows up to this one.

  Returns:
    f32[B]; 0 without a key or a group.
  """
  same = reduce.subgroup(jnp.where(keys < 0, -1, group), keys)
  if not sequential:
    return reduce.group_count(same)
  earlier = reduce.group_rank(jnp.zeros(len(same)), same)
  return jnp.where(same < 0, 0, 1.0 + earlier)


def seen(table: Array, keys: Array) -> Array:
  """f32[B]: what the table i32[slots] says of keys i32[B]; 0 of -1."""
  found = table[jnp.maximum(keys, 0)]
  return jnp.where(keys < 0, 0, found).astype(jnp.float32)


def after(table: Array, keys: Array) -> Array:
  """The table with every key counted once more; -1 is none."""
  return table.at[jnp.maximum(keys, 0)].add((keys >= 0).astype(table.dtype))


def inverse_root(count: Array) -> Array:
  """1 / sqrt(N), 0 for N = 0."""
  some = count > 0
  return jnp.where(some, jax.lax.rsqrt(jnp.where(some, count, 1.0)), 0)
