"""The rewards of the latest groups, and what is usual among them."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


class History(NamedTuple):
  """Mean and deviation of the rewards of each group, of the latest steps."""

  mean: Array  # f32[S]
  std: Array  # f32[S]
  step: Array  # i32[S] of the group; -1 where there is none
  next: Array  # i32[] place of the next group

  @classmethod
  def empty(cls, size: int, groups: int) -> "History":
    """A history of at most `size` groups.

    Args:
      size: groups of the latest whole steps that are remembered.
      groups: that one step may bring.
    """
    none = jnp.full(size + groups, -1, jnp.int32)
    zeros = jnp.zeros(size + groups, jnp.float32)
    return cls(zeros, zeros, none, jnp.zeros((), jnp.int32))

  def with_groups(
    self, reward: Array, group: Array, step: Array, size: int
  ) -> "History":
    """The history after a step: the oldest steps go, as a whole.

    Args:
      reward: f32[B] of the rollout.
      group: i32[B]; -1 for rows without one.
      step: i32[].
      size: groups that may stay; those of this step stay in any case.
    """
    number = jnp.arange(len(group))
    first = (group >= 0) & (reduce.renumbered(group) == number)
    count = jnp.cumsum(first, dtype=jnp.int32)
    places = len(self.step)
    place = jnp.where(first, (self.next + count - 1) % places, places)
    put = lambda old, new: old.at[place].set(
      jnp.asarray(new, old.dtype), mode="drop"
    )
    steps = put(self.step, step)
    ordered = jnp.sort(steps)
    # How many groups are of the same step or of a later one.
    since = places - jnp.searchsorted(ordered, steps)
    kept = (since <= size) | (steps == step)
    return History(
      mean=put(self.mean, reduce.group_mean(reward, group)),
      std=put(self.std, reduce.group_std(reward, group)),
      step=jnp.where(kept, steps, -1),
      next=(self.next + count[-1]) % places,
    )

  def medians(self) -> tuple[Array, Array]:
    """(f32[], f32[]): of the means and of the deviations; 0 of none."""
    known = self.step >= 0
    middle = lambda x: reduce.masked_quantile(x, known, 0.5)
    return middle(self.mean), middle(self.std)

  def recalibrated(
    self, reward: Array, mask: Array, normalize: bool, epsilon: float
  ) -> Array:
    """Advantages of rows over what is usual now, f32[B, T].

    Args:
      reward: f32[B].
      mask: bool[B, T] counted tokens.
      normalize: whether they are divided by the median deviation.
      epsilon: added to it, unit of the reward.
    """
    mean, std = self.medians()
    gain = reward - mean
    gain = gain / (std + epsilon) if normalize else gain
    return jnp.where(mask, gain[:, None], 0)
