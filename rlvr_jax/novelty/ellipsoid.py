"""E3B: how far a state lies outside the ellipsoid of other states.

The bonus of x is x' C^-1 x with C = ridge I + the sum of y y' over the other
states y of its episode: |x|^2 / ridge where none is like it, 1 / (ridge + n)
after n copies of a unit vector. The vector 0 stands for no state: its bonus is
0 and it moves no ellipsoid.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array

PRECISE = jax.lax.Precision.HIGHEST


class Ellipsoid(NamedTuple):
  """The bonuses of a sequence, and the ellipsoid at its end."""

  bonus: Array  # f32[T] >= 0
  inverse: Array  # f32[D, D], C^-1 after the last state


def sequence(
  features: Array, ridge: float, begins: Array | None = None
) -> Ellipsoid:
  """Bonuses against the earlier states of the same episode.

  C^-1 moves by a rank of one at each state, in D^2 steps and numbers; it stays
  symmetric bit by bit, and errors along a direction shrink with every state
  along it.

  Args:
    features: f32[T, D].
    ridge: > 0, squared unit of the features.
    begins: bool[T] states that begin an episode; the first one alone if None.

  Returns:
    An Ellipsoid.
  """
  count, size = features.shape
  fresh = jnp.eye(size, dtype=features.dtype) / ridge
  if begins is None:
    begins = jnp.zeros(count, bool)

  def step(inverse, now):
    x, begin = now
    inverse = jnp.where(begin, fresh, inverse)
    moved = jnp.dot(inverse, x, precision=PRECISE)
    bonus = jnp.maximum(jnp.dot(x, moved, precision=PRECISE), 0)
    return inverse - jnp.outer(moved, moved) / (1 + bonus), bonus

  inverse, bonus = jax.lax.scan(step, fresh, (features, begins))
  return Ellipsoid(bonus, inverse)


def grouped(features: Array, group: Array, ridge: float) -> Array:
  """Bonuses against the earlier rows of the same group.

  Args:
    features: f32[B, D] one state per row.
    group: i32[B] group number in [0, B); -1 joins no group.
    ridge: > 0, squared unit of the features.

  Returns:
    f32[B]; 0 without a group.
  """
  slot = jnp.where(group < 0, len(group), group)
  order = jnp.argsort(slot, stable=True)
  inside = jnp.where((group < 0)[:, None], 0, features)[order]
  begins = jnp.diff(slot[order], prepend=-1) != 0
  bonus = sequence(inside, ridge, begins).bonus
  return jnp.zeros_like(bonus).at[order].set(bonus)


def leave_one_out(features: Array, group: Array, ridge: float) -> Array:
  """Bonuses against all other rows of the same group, in any order.

  Takes about 3 D^2 numbers for every row. By the identity of Woodbury it is
  h / (1 - h), h the diagonal of K (K + ridge I)^-1 with K the Gram matrix of
  the group.

  Args:
    features: f32[B, D] one state per row.
    group: i32[B] group number in [0, B); -1 joins no group.
    ridge: squared unit of the features; well above 1e-7 times the squared
      lengths of a group together, or rounding makes C singular.

  Returns:
    f32[B]; 0 without a group.
  """
  rows, size = features.shape
  slot = jnp.where(group < 0, rows, group)
  x = jnp.where((group < 0)[:, None], 0, features)
  squares = x[:, :, None] * x[:, None, :]
  total = jax.ops.segment_sum(squares, slot, num_segments=rows + 1)
  others = total[slot] - squares + ridge * jnp.eye(size, dtype=x.dtype)
  solve = lambda c, y: jax.scipy.linalg.solve(c, y, assume_a="pos")
  return jnp.maximum((x * jax.vmap(solve)(others, x)).sum(axis=1), 0)
