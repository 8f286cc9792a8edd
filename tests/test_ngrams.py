"""How often a row repeats itself, against counting by a dictionary."""

import collections

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvr_jax import reduce

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTH = 13
EXTREME = np.iinfo(np.int32)
# Few values, so that runs of every length do occur again.
tokens = hnp.arrays(
  np.int32, (3, LENGTH), elements=st.sampled_from([0, 1, EXTREME.max, -1])
)
masks = hnp.arrays(np.bool_, (3, LENGTH), elements=st.sampled_from([1, 1, 0]))
repetition = jax.jit(reduce.repetition, static_argnums=2)


def counted(row, mask, n):
  """The same by a dictionary of all runs."""
  begins = range(len(row) - n + 1)
  runs = (tuple(row[i : i + n]) for i in begins if mask[i : i + n].all())
  return max(collections.Counter(runs).values(), default=0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, LENGTH, LENGTH + 1])
def test_the_most_frequent_run_is_counted_exactly(n):
  @hypothesis.given(tokens, masks)
  def holds(tokens, mask):
    want = [counted(row, counts, n) for row, counts in zip(tokens, mask)]
    np.testing.assert_array_equal(repetition(tokens, mask, n), want)

  holds()


def test_a_loop_repeats_its_period_and_what_never_returns_does_not():
  loop = np.tile(np.arange(20), 11)
  mask = np.ones((2, loop.size), bool)
  rows = np.stack([loop, np.arange(loop.size)])
  np.testing.assert_array_equal(repetition(rows, mask, 20), [11, 1])
  # A whole period less: ten times, and ten from every other place, too.
  mask[0, -1] = False
  np.testing.assert_array_equal(repetition(rows, mask, 20), [10, 1])


def test_what_stands_where_nothing_counts_does_not_matter():
  mask = np.array([[1, 1, 1, 1, 0, 0]], bool)
  first = repetition(np.array([[7, 8, 7, 8, 7, 8]]), mask, 2)
  other = repetition(np.array([[7, 8, 7, 8, -5, 9]]), mask, 2)
  assert first == other == 2


def sizes(jaxpr):
  """Entries of everything a program computes, inner programs included."""
  for equation in jaxpr.eqns:
    yield from (v.aval.size for v in equation.outvars)
    for inner in jax.core.jaxprs_in_params(equation.params):
      yield from sizes(inner)


def test_long_responses_take_no_square_of_their_length():
  length = 20_000
  row = jax.ShapeDtypeStruct((2, length), jnp.int32)
  mask = jax.ShapeDtypeStruct((2, length), jnp.bool)
  program = jax.make_jaxpr(lambda t, m: reduce.repetition(t, m, 20))(row, mask)
  assert max(sizes(program.jaxpr)) <= 8 * length
