"""The order in which the problems of a mixture come."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from rlvr_jax import tasks
from rlvr_jax.tasks import Part

seeds = st.integers(0, 2**40)
cursors = st.integers(0, 10**7)
counts = st.integers(0, 200)
weights = st.floats(0.01, 1000)
mixtures = st.lists(
  st.builds(Part, st.integers(1, 30), weights), min_size=2, max_size=6
)


def numbers(rows, parts):
  """Which part each row is of."""
  return np.searchsorted(np.cumsum([p.size for p in parts]), rows, "right")


@hypothesis.given(seed=seeds, size=st.integers(1, 40), cursor=cursors, n=counts)
def test_a_single_part_comes_as_it_always_did(seed, size, cursor, n):
  mixed = tasks.mixed_at(seed, cursor, n, [Part(size, 0.3)])
  np.testing.assert_array_equal(mixed, tasks.prompts_at(seed, cursor, n, size))


@hypothesis.given(seed=seeds, cursor=cursors, n=counts, parts=mixtures)
def test_every_window_holds_the_parts_by_their_weights(seed, cursor, n, parts):
  found = numbers(tasks.mixed_at(seed, cursor, n, parts), parts)
  counted = np.bincount(found, minlength=len(parts))
  total = sum(part.weight for part in parts)
  for part, count in zip(parts, counted):
    # Shares are rounded to about a millionth.
    assert abs(count - n * part.weight / total) < len(parts) + n * 1e-5


@hypothesis.given(seed=seeds, n=counts, parts=mixtures)
def test_every_part_comes_in_permutations_of_its_own(seed, n, parts):
  rows = tasks.mixed_at(seed, 0, n, parts)
  start = 0
  for stream, part in enumerate(parts):
    own = rows[(start <= rows) & (rows < start + part.size)] - start
    order = tasks.prompts_at(seed, 0, len(own), part.size, stream)
    np.testing.assert_array_equal(own, order)
    start += part.size


@hypothesis.given(
  seed=seeds,
  cursor=cursors,
  parts=mixtures,
  steps=st.lists(st.integers(0, 50), max_size=6),
)
def test_batches_and_slices_of_any_size_read_one_order(
  seed, cursor, parts, steps
):
  read, place = [np.empty(0, np.int64)], cursor
  for count in steps:
    read.append(tasks.mixed_at(seed, place, count, parts))
    place += count
  whole = tasks.mixed_at(seed, cursor, place - cursor, parts)
  np.testing.assert_array_equal(whole, np.concatenate(read))


def test_parts_of_equal_size_come_in_different_orders():
  rows = tasks.mixed_at(0, 0, 100, [Part(50, 1), Part(50, 1)])
  first, second = rows[rows < 50], rows[rows >= 50] - 50
  assert len(first) == len(second) == 50
  assert (first != second).any()


def test_weights_count_only_in_proportion():
  one, other = ([Part(9, w) for w in ws] for ws in ((1, 3), (0.25, 0.75)))
  np.testing.assert_array_equal(
    tasks.mixed_at(3, 11, 40, one), tasks.mixed_at(3, 11, 40, other)
  )


def test_the_mixed_order_of_seed_0_is_pinned_since_resumed_runs_rely_on_it():
  rows = tasks.mixed_at(0, 5, 8, [Part(4, 3), Part(6, 1), Part(2, 2)])
  assert rows.tolist() == [1, 10, 3, 11, 3, 6, 0, 10]


def test_a_task_reads_its_mixture_and_without_one_all_rows_alike():
  rows = [tasks.Problem(f"{i}=", "", (), i) for i in range(10)]
  tokenizer = tasks.CharTokenizer("0123456789=")
  task = tasks.Task("toy", rows, [], tokenizer, None, None, 2, 1)
  np.testing.assert_array_equal(
    task.training_rows(7, 3, 30), tasks.prompts_at(7, 3, 30, 10)
  )
  parts = (Part(4, 1.0), Part(6, 5.0))
  mixed = tasks.Task("toy", rows, [], tokenizer, None, None, 2, 1, parts)
  np.testing.assert_array_equal(
    mixed.training_rows(7, 3, 30), tasks.mixed_at(7, 3, 30, parts)
  )


@pytest.mark.parametrize(
  ("parts", "message"),
  [
    ([], "needs at least one part"),
    ([Part(0, 1.0), Part(3, 1.0)], r"size=0.* must have a size >= 1"),
    ([Part(3, 0.0), Part(3, 1.0)], "weight=0.0.*at least a millionth"),
    ([Part(3, 1.0), Part(3, -1.0)], "weight=-1.0"),
    ([Part(3, 1.0), Part(3, math.nan)], "must have a size"),
    ([Part(3, 1.0), Part(3, math.inf)], "a finite weight"),
    ([Part(3, 1e-7), Part(3, 1.0)], "weight=1e-07.*millionth"),
  ],
)
def test_a_part_that_never_comes_is_an_error(parts, message):
  with pytest.raises(ValueError, match=message):
    tasks.mixed_at(0, 0, 1, parts)


@pytest.mark.parametrize("place", [(-1, 0, 1), (0, -1, 1), (0, 0, -1)])
def test_a_place_before_the_first_is_an_error(place):
  with pytest.raises(ValueError, match="must be >= 0"):
    tasks.mixed_at(*place, [Part(3, 1), Part(3, 1)])
