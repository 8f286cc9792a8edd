"""Reductions over the rows of a group, handed back to each of its rows."""

import jax
import jax.numpy as jnp

Array = jax.Array


def group_sum(x: Array, group: Array) -> Array:
  """Sum of x over the rows of the same group, handed back to each row.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.

  Returns:
    f32[B]; rows without a group get 0.
  """
  rows = x.shape[0]
  slot = jnp.where(group < 0, rows, group)
  inside = jnp.where(group < 0, 0, x)
  sums = jax.ops.segment_sum(inside, slot, num_segments=rows + 1)
  return jnp.where(group < 0, 0, sums[slot])


def renumbered(group: Array) -> Array:
  """i32[B]: the same groups, each by the number of its first row; -1 stays."""
  first = jnp.argmax(group[:, None] == group[None, :], axis=1)
  return jnp.where(group < 0, -1, first.astype(group.dtype))


def subgroup(group: Array, label: Array) -> Array:
  """i32[B]: groups cut apart by a label; rows without a group stay without.

  Args:
    group: i32[B] group number in [0, B); -1 joins no group.
    label: i32[B] of any values.

  Returns:
    A number in [0, B) that rows of the same group and label share; -1 without
    a group. `group_count` of it tells how many they are.
  """
  order = jnp.lexsort((label, group))
  new = (jnp.diff(group[order]) != 0) | (jnp.diff(label[order]) != 0)
  number = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(new)])
  found = jnp.zeros_like(group).at[order].set(number.astype(group.dtype))
  return jnp.where(group < 0, -1, found)


def group_count(group: Array) -> Array:
  """f32[B]: rows in each row's group; 0 for rows without a group."""
  return group_sum(jnp.ones(group.shape, jnp.float32), group)


def group_total(group: Array) -> Array:
  """f32[]: how many groups there are."""
  rows = group.shape[0]
  slot = jnp.where(group < 0, rows, group)
  return jnp.zeros(rows + 1, jnp.float32).at[slot].set(1.0)[:rows].sum()


def group_mean(x: Array, group: Array) -> Array:
  """f32[B]: mean of x over each row's group; 0 for rows without one."""
  return group_sum(x, group) / jnp.maximum(group_count(group), 1)


def group_std(x: Array, group: Array, ddof: int = 1) -> Array:
  """f32[B]: standard deviation of x over each row's group.

  The sum of squares is of centred values: the textbook difference of moments
  loses all digits when the rewards of a group are equal.
  """
  squares = group_sum((x - group_mean(x, group)) ** 2, group)
  return jnp.sqrt(squares / jnp.maximum(group_count(group) - ddof, 1))


def group_rank(x: Array, group: Array) -> Array:
  """i32[B]: how many rows of the group come before, by x and then by place.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.

  Returns:
    0 for the smallest of a group; ties go to the earlier row; rows without a
    group get 0.
  """
  rows = x.shape[0]
  slot = jnp.where(group < 0, rows, group)
  order = jnp.lexsort((x, slot))
  numbers = jnp.arange(rows, dtype=jnp.int32)
  place = jnp.zeros(rows, jnp.int32).at[order].set(numbers)
  count = jax.ops.segment_sum(jnp.ones(rows, jnp.int32), slot, rows + 1)
  first = jnp.cumsum(count) - count
  return jnp.where(group < 0, 0, place - first[slot])


def group_max(x: Array, group: Array, mask: Array | None = None) -> Array:
  """Largest counted x of the rows of the same group, handed back to each row.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.
    mask: bool[B] which rows count; all if None.

  Returns:
    f32[B]; 0 where no row of the group counts, and for rows without a group.
  """
  rows = x.shape[0]
  slot = jnp.where(group < 0, rows, group)
  counts = group >= 0 if mask is None else (group >= 0) & mask
  inside = jnp.where(counts, x, -jnp.inf)
  highest = jax.ops.segment_max(inside, slot, num_segments=rows + 1)[slot]
  return jnp.where(highest > -jnp.inf, highest, 0)


def group_is_mixed(x: Array, group: Array) -> Array:
  """bool[B]: whether the x of a row's group differ, or it is alone in it.

  By the largest and the smallest: a deviation above 0 may be rounding.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.

  Returns:
    False for rows without a group.
  """
  differ = group_max(x, group) > -group_max(-x, group)
  return differ | (group_count(group) == 1)


def group_softmax(x: Array, group: Array, mask: Array) -> Array:
  """exp(x) of each counted row as a share of the sum over its group.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.
    mask: bool[B] which rows count.

  Returns:
    f32[B]; 0 for rows that do not count or have no group.
  """
  _, powers = _powers(x, group, mask)
  total = group_sum(powers, group)
  return powers / jnp.where(total > 0, total, 1)


def group_logsumexp(x: Array, group: Array, mask: Array) -> Array:
  """Log of the sum of exp(x) over the counted rows of the same group.

  Args:
    x: f32[B] one value per row.
    group: i32[B] group number in [0, B); -1 joins no group.
    mask: bool[B] which rows count.

  Returns:
    f32[B], handed back to each row; 0 where no row of the group counts.
  """
  highest, powers = _powers(x, group, mask)
  total = group_sum(powers, group)
  return highest + jnp.log(jnp.where(total > 0, total, 1))


def _powers(x, group, mask):
  """Largest counted x of each group, and exp of what lies below it."""
  highest = jax.lax.stop_gradient(group_max(x, group, mask))
  counts = (group >= 0) & mask
  below = jnp.where(counts, x - highest, 0)
  return highest, jnp.where(counts, jnp.exp(below), 0)
