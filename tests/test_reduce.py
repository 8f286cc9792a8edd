"""Reductions against numpy on random masks, and their gradients at kinks."""

import fractions
import math

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvr_jax import reduce

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS, LENGTH = 5, 4
# Few enough that groups of one and of several both occur.
groups = hnp.arrays(np.int32, ROWS, elements=st.integers(-1, 2))
masks = hnp.arrays(np.bool_, (ROWS, LENGTH))
numbers = st.floats(-100, 100, width=32)
values = hnp.arrays(np.float32, (ROWS, LENGTH), elements=numbers)
per_row = hnp.arrays(np.float32, ROWS, elements=numbers)
given = hypothesis.given


def close(got, want, scale=100.0):
  """Sums of at most 20 float32 numbers of size `scale`."""
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6 * scale)


@given(values, masks)
def test_masked_moments_are_those_of_the_counted_entries(x, mask):
  counted = x[mask].astype(np.float64)
  empty = counted.size == 0
  close(
    reduce.masked_mean(x, jnp.asarray(mask)), 0 if empty else counted.mean()
  )
  variance = 0 if empty else counted.var()
  close(reduce.masked_var(jnp.asarray(x), jnp.asarray(mask)), variance, 1e4)
  if counted.size > 1:
    sample = reduce.masked_var(jnp.asarray(x), jnp.asarray(mask), ddof=1)
    close(sample, counted.var(ddof=1), 1e4)


@given(values, masks)
def test_masked_extremes_are_those_of_the_counted_entries(x, mask):
  high, low = (
    f(x, jnp.asarray(mask)) for f in (reduce.masked_max, reduce.masked_min)
  )
  counted = x[mask]
  assert high == (counted.max() if counted.size else 0)
  assert low == (counted.min() if counted.size else 0)


@given(values, masks, st.integers(0, ROWS * LENGTH))
def test_top_mask_marks_the_largest_and_the_earlier_of_equals(x, mask, count):
  x = np.round(x / 50)  # many ties
  got = reduce.top_mask(jnp.asarray(x), jnp.asarray(mask), count)
  order = np.argsort(-np.where(mask, x, -np.inf).ravel(), kind="stable")
  want = np.zeros(x.size, bool)
  want[order[: min(count, mask.sum())]] = True
  np.testing.assert_array_equal(got, want.reshape(x.shape))


@given(per_row, groups)
def test_group_reductions_are_those_of_the_rows_of_each_group(x, group):
  arrays = jnp.asarray(x), jnp.asarray(group)
  sums, means = reduce.group_sum(*arrays), reduce.group_mean(*arrays)
  stds = reduce.group_std(*arrays)
  counts = reduce.group_count(arrays[1])
  for row in range(ROWS):
    members = x[group == group[row]].astype(np.float64)
    if group[row] < 0:
      assert not any(float(r[row]) for r in (sums, means, stds, counts))
      continue
    assert counts[row] == members.size
    close(sums[row], members.sum())
    close(means[row], members.mean())
    std = members.std(ddof=1) if members.size > 1 else 0.0
    close(stds[row], std, 1000.0)


def test_equal_rewards_have_no_deviation_at_all():
  third = jnp.full(6, 1 / 3)
  std = reduce.group_std(third, jnp.zeros(6, jnp.int32))
  assert (std < 1e-7).all()


@given(masks)
def test_row_lengths_and_last_tokens_are_counted(mask):
  np.testing.assert_array_equal(
    reduce.row_length(jnp.asarray(mask)), mask.sum(axis=1)
  )
  last = np.asarray(reduce.last_token(jnp.asarray(mask)))
  for row in range(ROWS):
    places = np.flatnonzero(mask[row])
    assert np.flatnonzero(last[row]).tolist() == places[-1:].tolist()


@given(values, masks, st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_returns_are_discounted_per_counted_token(x, mask, gamma):
  got = reduce.returns_to_go(jnp.asarray(x), jnp.asarray(mask), gamma)
  want = np.zeros(x.shape)
  for row in range(ROWS):
    run = 0.0
    for t in reversed(range(LENGTH)):
      if mask[row, t]:
        run = x[row, t] + gamma * run
        want[row, t] = run
  close(got, want)


@given(values, masks, st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_advantages_are_discounted_errors_of_the_next_counted_value(
  x, mask, gamma
):
  values = x[:, ::-1]
  got = reduce.gae(
    jnp.asarray(x), jnp.asarray(values), jnp.asarray(mask), gamma, 0.7
  )
  want = np.zeros(x.shape)
  for row in range(ROWS):
    following = advantage = 0.0
    for t in reversed(range(LENGTH)):
      if mask[row, t]:
        error = x[row, t] + gamma * following - values[row, t]
        following = values[row, t]
        advantage = error + gamma * 0.7 * advantage
        want[row, t] = advantage
  close(got, want)


def test_a_return_is_carried_over_the_gap_between_two_turns():
  rewards = jnp.array([[0.0, 0.0, 9.0, 0.0, 1.0]])
  mask = jnp.array([[1, 1, 0, 1, 1]], bool)
  got = reduce.returns_to_go(rewards, mask, 0.5)
  # The 9 does not count, and takes no time.
  np.testing.assert_allclose(got, [[0.125, 0.25, 0, 0.5, 1.0]])


@given(values, masks)
def test_whitened_entries_have_mean_zero_and_variance_one(x, mask):
  hypothesis.assume(mask.sum() > 1 and x[mask].std() > 1e-2)
  got = np.asarray(reduce.whiten(jnp.asarray(x), jnp.asarray(mask)))
  assert not got[~mask].any()
  assert abs(got[mask].mean()) < 1e-3
  # The variance has the 1e-8 of the scale, and float32 means of 100.
  assert abs(got[mask].var(ddof=1) - 1) < 2e-2


def test_whitening_nothing_or_one_thing_gives_zero():
  x = jnp.array([[3.0, jnp.nan]])
  assert not reduce.whiten(x, jnp.zeros((1, 2), bool)).any()
  assert not reduce.whiten(x, jnp.array([[True, False]])).any()


@pytest.mark.parametrize(
  "reduction",
  [
    reduce.masked_mean,
    reduce.masked_max,
    reduce.masked_min,
    reduce.whiten,
    reduce.centred_product,
    reduce.returns_to_go,
    reduce.row_softmax,
  ],
)
def test_what_does_not_count_does_not_matter(reduction):
  mask = jnp.array([[True, False], [True, True]])
  x = jnp.array([[1.0, jnp.nan], [2.0, -1.0]])
  clean = jnp.where(mask, x, 0.0)
  if reduction is reduce.centred_product:
    run = lambda x: reduction(x, x, mask)
  else:
    run = lambda x: reduction(x, mask)
  np.testing.assert_array_equal(run(x), run(clean))


def test_clamp_has_its_full_gradient_at_the_bounds():
  x = jnp.array([-2.0, -1.0, 0.0, 1.0, 2.0])
  slope = jax.vmap(jax.grad(lambda x: reduce.clamp(x, -1.0, 1.0)))(x)
  np.testing.assert_array_equal(slope, [0, 1, 1, 1, 0])
  np.testing.assert_array_equal(reduce.clamp(x, -1, 1), [-1, -1, 0, 1, 1])


def test_absolute_has_no_gradient_at_zero():
  x = jnp.array([-2.0, 0.0, 3.0])
  slope = jax.vmap(jax.grad(reduce.absolute))(x)
  np.testing.assert_array_equal(slope, [-1, 0, 1])
  np.testing.assert_array_equal(reduce.absolute(x), [2, 0, 3])


def test_rows_rank_inside_their_group_and_ties_by_place():
  x = jnp.array([3.0, 1.0, 2.0, 1.0, 9.0, 5.0])
  group = jnp.array([4, 4, 0, 4, -1, 0])
  np.testing.assert_array_equal(reduce.group_rank(x, group), [2, 0, 0, 1, 0, 1])


@given(hnp.arrays(np.float32, ROWS, elements=st.integers(0, 1)), groups)
def test_a_group_is_mixed_if_two_of_its_values_differ_or_there_is_but_one(
  x, group
):
  found = jax.jit(reduce.group_is_mixed)(x, group)
  for row in range(ROWS):
    inside = x[(group == group[row]) & (group >= 0)]
    assert found[row] == (len(inside) == 1 or len(set(inside)) == 2)


@given(per_row, groups, hnp.arrays(np.bool_, ROWS))
def test_group_maxima_and_softmaxes_are_those_of_the_counted_rows(
  x, group, mask
):
  arrays = jnp.asarray(x), jnp.asarray(group), jnp.asarray(mask)
  highest, shares, logsumexp = (
    f(*arrays)
    for f in (reduce.group_max, reduce.group_softmax, reduce.group_logsumexp)
  )
  for row in range(ROWS):
    inside = (group == group[row]) & mask & (group >= 0)
    members = x[inside].astype(np.float64)
    if members.size == 0:
      assert highest[row] == shares[row] == logsumexp[row] == 0
      continue
    assert highest[row] == members.max()
    want = np.logaddexp.reduce(members)
    close(logsumexp[row], want)
    close(shares[row], np.exp(x[row] - want) if mask[row] else 0.0)
  assert reduce.group_total(arrays[1]) == len(set(group[group >= 0].tolist()))


def test_the_slope_of_a_logsumexp_is_the_softmax():
  x = jnp.array([3.0, 3.0, -1e4, 2.0, 1e4, 7.0])
  group = jnp.array([1, 1, 1, 0, -1, 0])
  mask = jnp.array([True, True, True, True, True, False])
  first = jnp.array([1.0, 0, 0, 1, 0, 0])  # one row of each group
  total = lambda x: (first * reduce.group_logsumexp(x, group, mask)).sum()
  np.testing.assert_allclose(
    jax.grad(total)(x), reduce.group_softmax(x, group, mask), atol=1e-7
  )


def test_subgroups_are_the_rows_of_one_group_and_one_label():
  group = jnp.array([2, 0, 2, 0, 2, -1, -1])
  label = jnp.array([7, 7, 7, -1, 3, 7, 7])
  found = reduce.subgroup(group, label)
  assert (found[5:] == -1).all() and (found[:5] >= 0).all()
  np.testing.assert_array_equal(
    reduce.group_count(found), [2, 1, 2, 1, 1, 0, 0]
  )
  assert found[0] == found[2] and len(set(np.asarray(found[:5]).tolist())) == 4


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantiles_are_numpy_s_of_the_counted_entries(share, axis):
  dice = np.random.default_rng(0)
  x = dice.normal(size=(3, 9)).astype(np.float32)
  mask = dice.random((3, 9)) < 0.7
  mask[1] = False
  found = reduce.masked_quantile(jnp.where(mask, x, jnp.nan), mask, share, axis)
  if axis is None:
    np.testing.assert_allclose(found, np.quantile(x[mask], share), rtol=1e-6)
    return
  for row, counted, got in zip(x, mask, found):
    want = np.quantile(row[counted], share) if counted.any() else 0.0
    np.testing.assert_allclose(got[0], want, rtol=1e-6)


def test_the_mean_of_a_row_is_over_its_counted_tokens():
  mask = jnp.array([[True, False], [False, False]])
  x = jnp.array([[3.0, jnp.nan], [jnp.nan, 1.0]])
  np.testing.assert_array_equal(reduce.row_mean(x, mask), [3.0, 0.0])


@given(values, masks)
def test_the_softmax_of_a_row_is_over_its_counted_tokens(x, mask):
  found = reduce.row_softmax(jnp.asarray(x), jnp.asarray(mask))
  for row, counted, got in zip(x, mask, found):
    powers = np.exp(row[counted].astype(np.float64) - row.max())
    np.testing.assert_allclose(
      got[counted], powers / powers.sum(), rtol=1e-4, atol=1e-7
    )
    assert not got[~counted].any()


@pytest.mark.parametrize(
  ("fraction", "exact"),
  [
    (0.2, fractions.Fraction(1, 5)),
    (0.3, fractions.Fraction(3, 10)),
    (0.15, fractions.Fraction(3, 20)),
    (1 - 0.8, fractions.Fraction(1, 5)),
    (7 / 9, fractions.Fraction(7, 9)),
    (0.999999, fractions.Fraction(999_999, 10**6)),
    (1.0, fractions.Fraction(1)),
  ],
)
def test_a_share_of_many_tokens_is_the_exact_whole_number(fraction, exact):
  counts = jnp.array([*range(1, 40), *range(100_000, 100_031), 999_999])
  masks = lambda count: jnp.arange(10**6) < count
  share = lambda rounding: jax.lax.map(
    lambda n: reduce.count_of(fraction, masks(n), rounding), counts
  )
  for rounding, whole in (("floor", math.floor), ("ceil", math.ceil)):
    want = [max(whole(exact * int(n)), 1) for n in counts]
    np.testing.assert_array_equal(share(rounding), want, rounding)
  assert reduce.count_of(fraction, jnp.zeros(3, bool)) == 1


def test_the_estimate_of_a_divergence_has_its_closed_form_up_to_its_bound():
  x = jnp.array([0.0, np.log(2), -np.log(2), -1e4, 1e4])
  want = [0.0, np.log(2) - 0.5, 1 - np.log(2), 10.0, 10.0]
  np.testing.assert_allclose(reduce.k3(x), want, rtol=1e-6)
  slope = jax.grad(lambda x: reduce.k3(x).sum())(x)
  np.testing.assert_allclose(slope, [0.0, 0.5, -1.0, 0.0, 0.0], atol=1e-6)
