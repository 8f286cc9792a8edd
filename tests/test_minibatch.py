"""The rows of an update: whole groups, in random order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax import reduce
from rlvr_jax.models.mesh import by_row
from rlvr_jax.training.minibatch import shuffled, take
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")


def minibatch(p, batch, index, seed=0):
  clock = Clock(0, index, jax.random.key(seed))
  return take(batch, clock, p.settings.updates, by_row(p.mesh))


@pytest.mark.parametrize("updates", [2, 8])
def test_a_minibatch_holds_whole_groups_with_numbers_of_its_own(updates):
  p = runs.programs("grpo", updates=updates)
  batch = runs.sample(p, *runs.start(p))
  seen = []
  for index in range(updates):
    part = minibatch(p, batch, index)
    rows = part.mask.shape[0]
    assert rows * updates == batch.mask.shape[0]
    np.testing.assert_array_equal(reduce.group_count(part.group), 4)
    assert part.group.max() < rows
    seen += list(map(tuple, np.asarray(part.tokens)))
  assert sorted(seen) == sorted(map(tuple, np.asarray(batch.tokens)))


def test_rows_that_lose_their_group_cut_no_other_group():
  p = runs.programs("grpo", updates=4)
  batch = runs.sample(p, *runs.start(p))
  lost = np.isin(np.arange(32), [0, 5, 6, 7, 8, 9, 10, 11, 31])
  whole = np.asarray(batch.group)
  batch = batch.replace(
    group=jnp.where(lost, -1, batch.group),
    mask=batch.mask & ~lost[:, None],
    # Tells the rows apart in the minibatches.
    reward=jnp.asarray(whole, jnp.float32),
  )
  for seed in range(5):
    for index in range(4):
      part = minibatch(p, batch, index, seed)
      _, sizes = np.unique(part.reward, return_counts=True)
      np.testing.assert_array_equal(sizes, [4, 4])


def test_replayed_rows_answer_no_prompt_and_move_on_their_own():
  p = runs.programs("grpo", updates=4)
  batch = runs.sample(p, *runs.start(p))
  replay = np.arange(32) >= 24
  batch = batch.replace(
    group=jnp.where(replay, -1, batch.group),
    prompt=jnp.where(replay, -1, batch.prompt),
  )
  orders = [shuffled(batch, jax.random.key(s)) for s in range(5)]
  for order in orders:
    np.testing.assert_array_equal(np.sort(order), np.arange(32))
  places = [
    np.flatnonzero(np.isin(order, np.arange(24, 32))) for order in orders
  ]
  assert any((np.diff(place) > 1).any() for place in places)


def test_rows_marked_as_replayed_come_last_and_of_them_the_empty_ones():
  p = runs.programs("grpo", updates=4)
  batch = runs.sample(p, *runs.start(p))
  replay, empty = np.arange(32) >= 16, np.arange(32) % 2 == 1
  none = lambda x: jnp.where(replay, -1, x)
  batch = batch.replace(
    group=none(batch.group),
    prompt=none(batch.prompt),
    source=none(batch.source),
    mask=batch.mask & ~(replay & empty)[:, None],
  )
  orders = [shuffled(batch, jax.random.key(s)) for s in range(5)]
  for order in orders:
    kind = replay[order].astype(int) + (replay & empty)[order]
    np.testing.assert_array_equal(kind, [0] * 16 + [1] * 8 + [2] * 8)
    # The groups of the step are whole all the same.
    np.testing.assert_array_equal(
      np.asarray(batch.group)[order[:16]].reshape(4, 4).std(axis=1), 0
    )
  assert any((orders[0] != order).any() for order in orders)
