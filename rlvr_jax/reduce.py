"""Masked and grouped reductions over a whole minibatch, all padding-safe.

Under `jax.jit` on a mesh each sum is the sum over all devices, so a result
here does not depend on how rows are sharded. Empty sets give 0, never NaN.
"""

import fractions
from collections.abc import Callable

import jax
import jax.numpy as jnp

Array = jax.Array
ROUNDING = 1e-5  # nats; between two passes of the same policy


def masked_mean(x: Array, mask: Array) -> Array:
  """Mean of x where the mask counts; 0 if nothing counts.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: f32/bool[...] of the same shape, weight of each entry.

  Returns:
    f32[].
  """
  weight = mask.astype(x.dtype)
  total = jnp.where(weight > 0, x * weight, 0).sum()
  return total / jnp.maximum(weight.sum(), 1)


def masked_var(x: Array, mask: Array, ddof: int = 0) -> Array:
  """Variance of x over counted entries with `ddof` lost degrees of freedom."""
  x = jnp.where(mask > 0, x, 0)  # or the gradient of junk is NaN
  count = mask.astype(x.dtype).sum()
  centred = masked_mean((x - masked_mean(x, mask)) ** 2, mask)
  return centred * count / jnp.maximum(count - ddof, 1)


def masked_max(x: Array, mask: Array) -> Array:
  """Largest counted entry; 0 if nothing counts."""
  highest = jnp.where(mask > 0, x, -jnp.inf).max()
  return jnp.where(jnp.any(mask > 0), highest, 0)


def masked_min(x: Array, mask: Array) -> Array:
  """Smallest counted entry; 0 if nothing counts."""
  return -masked_max(-x, mask)


def masked_quantile(
  x: Array, mask: Array, share: float, axis: int | None = None
) -> Array:
  """Quantile of the counted entries, linear between order statistics.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: bool[...] of the same shape.
    share: in [0, 1]; 0 is the smallest counted entry, 1 the largest.
    axis: along which; None over everything.

  Returns:
    f32 with that axis of size 1, f32[] for None; 0 if nothing counts.
  """
  if axis is None:
    return masked_quantile(x.reshape(-1), mask.reshape(-1), share, 0)[0]
  ordered = jnp.sort(jnp.where(mask > 0, x, jnp.inf), axis=axis)
  count = (mask > 0).sum(axis=axis, keepdims=True)
  place = share * jnp.maximum(count - 1, 0).astype(x.dtype)
  below = jnp.floor(place).astype(jnp.int32)
  above = jnp.minimum(below + 1, jnp.maximum(count - 1, 0))
  at = lambda i: jnp.take_along_axis(ordered, i, axis=axis)
  low, high = at(below), at(above)
  between = low + (place - below) * jnp.where(high > low, high - low, 0)
  return jnp.where(count > 0, between, 0)


def top_mask(x: Array, mask: Array, count: Array | int) -> Array:
  """Marks the `count` largest counted entries; ties go to the earlier one.

  Args:
    x: f32[...] values to rank.
    mask: bool[...] which entries may be chosen.
    count: i32[] how many; fewer are marked if fewer may be chosen.

  Returns:
    bool[...] of the same shape.
  """
  flat = jnp.where(mask > 0, x, -jnp.inf).reshape(-1)
  order = jnp.argsort(-flat, stable=True)
  rank = jnp.zeros_like(order).at[order].set(jnp.arange(flat.size))
  return (mask > 0) & (rank < count).reshape(x.shape)


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


def group_total(group: Array) -> Array:
  """f32[]: how many groups there are."""
  rows = group.shape[0]
  slot = jnp.where(group < 0, rows, group)
  return jnp.zeros(rows + 1, jnp.float32).at[slot].set(1.0)[:rows].sum()


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


def row_length(mask: Array) -> Array:
  """f32[B]: counted tokens of each row."""
  return mask.astype(jnp.float32).sum(axis=1)


def row_mean(x: Array, mask: Array) -> Array:
  """f32[B]: mean of x over the counted tokens of each row; 0 if none."""
  total = jnp.where(mask > 0, x, 0).sum(axis=1)
  return total / jnp.maximum(row_length(mask > 0), 1)


def last_token(mask: Array) -> Array:
  """bool[B, T]: the last counted position of each row; none if empty."""
  later = jnp.cumsum(mask[:, ::-1].astype(jnp.int32), axis=1)[:, ::-1]
  return (mask > 0) & (later == 1)


def clamp(x: Array, low: Array | float, high: Array | float) -> Array:
  """Clip with gradient 1 at the bounds themselves.

  `jnp.clip` gives half a gradient there; the authors' code (torch) gives one.
  """
  return jnp.where(x < low, low, jnp.where(x > high, high, x))


def absolute(x: Array, rounding: float = 0.0) -> Array:
  """|x| with gradient 0 at 0, where `jnp.abs` has gradient 1.

  Args:
    x: f32[...].
    rounding: |x| up to this counts as 0. The sign of a difference that is
      nothing but rounding is a coin toss, and the gradient with it.
  """
  sign = jnp.where(jnp.abs(x) <= rounding, 0.0, jnp.sign(x))
  return x * jax.lax.stop_gradient(sign)


def k3(x: Array) -> Array:
  """exp(-x) - 1 + x, which estimates KL(policy || other) at sampled tokens.

  Args:
    x: f32[...] log-prob under the policy less that under the other one, nats;
      bounded to 20, so that exp is finite, and the value to 10, as in verl.
  """
  x = clamp(x, -20.0, 20.0)
  return clamp(jnp.expm1(-x) + x, -10.0, 10.0)


def centred_product(x: Array, y: Array, mask: Array) -> Array:
  """(x - mean x)(y - mean y) per entry, 0 where the mask does not count.

  Its masked mean is the covariance of x and y over the counted entries.
  """
  product = (x - masked_mean(x, mask)) * (y - masked_mean(y, mask))
  return jnp.where(mask > 0, product, 0)


def count_of(fraction: float, mask: Array, rounding: str = "floor") -> Array:
  """i32[]: fraction * counted entries, rounded, at least 1.

  In whole numbers, because a float32 product such as 0.3 * 100_000 may end on
  the wrong side of the integer.

  Args:
    fraction: in [0, 1]; taken as the nearest quotient with a denominator of
      at most a million, so that 0.3 is 3/10.
    mask: f32/bool[...] which entries count.
    rounding: "floor" or "ceil".
  """
  exact = fractions.Fraction(fraction).limit_denominator(10**6)
  count = (mask > 0).sum().astype(jnp.int32)
  whole, rest = jnp.divmod(count, exact.denominator)
  # rest * numerator may exceed an int32: three digits of it at a time.
  high, low = divmod(exact.numerator, 1000)
  upper, left = jnp.divmod(rest * high, exact.denominator)
  lower, left = jnp.divmod(left * 1000 + rest * low, exact.denominator)
  share = whole * exact.numerator + upper * 1000 + lower
  return jnp.maximum(share + (left > 0) * (rounding == "ceil"), 1)


def in_blocks(
  fn: Callable[..., Array], rows: int | None, *arrays: Array
) -> Array:
  """Applies fn to blocks of consecutive rows, each on its own.

  Published code takes batch statistics per micro-batch; this repeats that on
  purpose, whatever the number of devices and slices.

  Args:
    fn: [rows, ...] arrays to arrays [rows, ...]; false masks must not count.
    rows: size of a block; None for one block of all rows. The last block is
      filled up with zeros, so with false masks.
    *arrays: [B, ...] each.

  Returns:
    What fn returns for all rows together.
  """
  if rows is None:
    return fn(*arrays)
  total = arrays[0].shape[0]
  blocks = -(-total // rows)

  def split(x):
    pad = [(0, blocks * rows - total)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, pad).reshape(blocks, rows, *x.shape[1:])

  join = lambda x: x.reshape(-1, *x.shape[2:])[:total]
  return jax.tree.map(join, jax.vmap(fn)(*map(split, arrays)))


def returns_to_go(rewards: Array, mask: Array, gamma: float = 1.0) -> Array:
  """Discounted sum of the rewards from each counted token on.

  Positions that do not count earn nothing and take no time, so a return is
  carried undiscounted over a gap between two turns.

  Args:
    rewards: f32[B, T] one reward per token.
    mask: bool[B, T] counted tokens.
    gamma: discount per counted token.

  Returns:
    f32[B, T]; 0 where nothing counts.
  """
  counted = mask > 0

  def join(later, now):
    # Composition of the affine maps y -> earned + discount * y.
    return later[0] * now[0], now[1] + now[0] * later[1]

  steps = jnp.where(counted, gamma, 1.0), jnp.where(counted, rewards, 0.0)
  _, sums = jax.lax.associative_scan(join, steps, reverse=True, axis=1)
  return jnp.where(counted, sums, 0.0)


def gae(
  rewards: Array,
  values: Array,
  mask: Array,
  gamma: float = 1.0,
  decay: float = 1.0,
) -> Array:
  """Generalized advantage estimates of given values.

  A_t = d_t + gamma decay A_t', d_t = r_t + gamma V_t' - V_t, with t' the next
  counted token; behind the last one both are 0. Positions that do not count
  earn nothing and take no time.

  Args:
    rewards: f32[B, T] one reward per token.
    values: f32[B, T] expected return before each token; anything at masked
      positions.
    mask: bool[B, T] counted tokens.
    gamma: discount per counted token.
    decay: lambda; 1 gives returns minus values, 0 the one-step errors d.

  Returns:
    f32[B, T]; 0 where nothing counts.
  """
  counted = mask > 0
  values = jnp.where(counted, values, 0.0)

  def join(later, now):
    return later[0] | now[0], jnp.where(now[0], now[1], later[1])

  # The value of the first counted token from each position on.
  _, carried = jax.lax.associative_scan(
    join, (counted, values), reverse=True, axis=1
  )
  following = jnp.pad(carried[:, 1:], [(0, 0), (0, 1)])
  errors = rewards + gamma * following - values
  return returns_to_go(errors, mask, gamma * decay)


def whiten(x: Array, mask: Array, epsilon: float = 1e-8) -> Array:
  """Shifts and scales the counted entries to mean 0 and variance 1.

  Args:
    x: f32[...] values; anything at masked positions.
    mask: f32/bool[...] of the same shape, which entries count.
    epsilon: added to the variance, which has one degree of freedom less.

  Returns:
    f32[...] of the same shape; 0 where nothing counts.
  """
  x = jnp.where(mask > 0, x, 0)
  scale = jax.lax.rsqrt(masked_var(x, mask, ddof=1) + epsilon)
  return jnp.where(mask > 0, (x - masked_mean(x, mask)) * scale, 0)
