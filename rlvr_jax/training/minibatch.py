"""The rows of an update: groups in random order, each in one piece.

Replayed rows come behind all others, in updates of their own as far as their
number goes.
"""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, rng
from rlvr_jax.types import Array, Clock, TokenBatch


def take(
  batch: TokenBatch,
  clock: Clock,
  updates: int,
  where: jax.sharding.NamedSharding,
) -> TokenBatch:
  """The rows of one minibatch; groups are shuffled afresh every step.

  Rows of a group stay together, so that methods can compare them in `apply`
  too; a group is cut only where a method has changed the sizes of groups.

  Args:
    batch: the rollout.
    clock: tells the step and which update of it this is.
    updates: minibatches per rollout.
    where: rows lie on the devices.
  """
  key = rng.key(clock.key, rng.Purpose.SHUFFLE, clock.step)
  order = shuffled(batch, key).reshape(updates, -1)[clock.update]
  batch = batch.take(order)
  batch = batch.replace(group=reduce.renumbered(batch.group))
  return jax.lax.with_sharding_constraint(batch, where)


def shuffled(batch: TokenBatch, key: Array) -> Array:
  """i32[B]: row numbers, groups in random order, each in one piece.

  Rows that have lost their group, because nobody could grade them or they only
  voted, stay with their prompt: the next groups keep their places. Replayed
  rows move on their own and come last, of these the ones that do not count.
  """
  rows = jnp.arange(batch.group.shape[0])
  kin = reduce.subgroup(batch.prompt, _root_source(batch))
  slot = jnp.where(kin < 0, len(rows), kin)
  over_kin = lambda of, x: of(x, slot, len(rows) + 1)[slot]
  of_kin = over_kin(jax.ops.segment_max, batch.group)
  first = jnp.where(kin < 0, rows, over_kin(jax.ops.segment_min, rows))
  lost = jnp.where((kin >= 0) & (of_kin >= 0), of_kin, len(rows) + first)
  unit = jnp.where(batch.group < 0, lost, batch.group)
  rank = jax.random.permutation(key, 2 * len(rows))
  again = batch.source < 0
  last = again.astype(jnp.int32) + (again & ~batch.mask.any(axis=1))
  return jnp.lexsort((rank[unit], last))


def _root_source(batch: TokenBatch) -> Array:
  """i32[B]: the draw whose groups a row is in; that of its parent, if any."""
  if batch.parent is None:
    return batch.source
  is_branch = batch.parent >= 0
  return jnp.where(is_branch, batch.source[batch.parent], batch.source)
