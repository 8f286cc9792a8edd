"""Evaluation figures from samples, and the support of two policies."""

import itertools
import math
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_adapters.support_analysis import check_support_analysis
from rlvr_jax.analysis import answers, support

GOLDEN = pathlib.Path(__file__).parent / "golden" / "support_analysis.npz"
fixed = settings(derandomize=True, max_examples=50, deadline=None)


@st.composite
def counted(draw):
  n = draw(st.integers(1, 12))
  return n, draw(st.integers(0, n)), draw(st.integers(1, n))


def test_reference_vectors_of_pass_at_k_and_the_published_tables_agree():
  with np.load(GOLDEN) as vectors:
    check_support_analysis(dict(vectors))


def test_the_reference_check_fails_on_a_changed_vector():
  with np.load(GOLDEN) as stored:
    vectors = dict(stored)
  vectors["case1_out_pass_at_k"] = vectors["case1_out_pass_at_k"] + 1e-6
  with pytest.raises(AssertionError, match="case1: pass@1"):
    check_support_analysis(vectors)


@fixed
@given(counted())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_right_sample(case):
  n, c, k = case
  samples = [i < c for i in range(n)]
  hits = [any(chosen) for chosen in itertools.combinations(samples, k)]
  (value,) = answers.pass_at_k(n, np.array([c]), k)
  assert value == pytest.approx(sum(hits) / len(hits), abs=1e-12)


def test_pass_at_one_is_the_mean_and_pass_at_n_is_any():
  c = np.arange(9)
  np.testing.assert_allclose(answers.pass_at_k(8, c, 1), c / 8)
  np.testing.assert_array_equal(answers.pass_at_k(8, c, 8), c > 0)


def test_pass_at_k_rises_with_k_and_with_right_samples():
  c = np.arange(17)
  table = np.array([answers.pass_at_k(16, c, k) for k in range(1, 17)])
  assert (np.diff(table, axis=0) >= -1e-15).all()
  assert (np.diff(table, axis=1) >= -1e-15).all()


def test_pass_at_k_stays_exact_for_thousands_of_samples():
  (value,) = answers.pass_at_k(8192, np.array([3]), 4096)
  exact = 1 - math.comb(8189, 4096) / math.comb(8192, 4096)
  assert value == pytest.approx(exact, rel=1e-10)


def test_pass_at_k_takes_a_number_of_samples_per_problem():
  values = answers.pass_at_k(np.array([4, 8]), np.array([1, 2]), 2)
  # 1 - C(3,2)/C(4,2) = 1 - 3/6;  1 - C(6,2)/C(8,2) = 1 - 15/28
  np.testing.assert_allclose(values, [1 / 2, 13 / 28])


@pytest.mark.parametrize("k", [0, 9])
def test_a_k_outside_the_samples_drawn_is_refused(k):
  with pytest.raises(ValueError, match=rf"`k` = {k} must lie in \[1, 8\]"):
    answers.pass_at_k(8, np.array([1, 2]), k)


def test_a_count_above_the_samples_drawn_is_refused_by_its_index():
  with pytest.raises(ValueError, match=r"`c\[1\]` = 9 must lie in \[0, 8\]"):
    answers.pass_at_k(8, np.array([1, 9]), 1)


def test_the_majority_answer_decides_the_vote():
  value = answers.maj_at_k([["4", "4", "5"]], [[True, True, False]])
  np.testing.assert_array_equal(value, [1.0])


def test_tied_answers_share_the_vote_in_any_order():
  right = {"4": True, "5": False, "6": False}
  for order in itertools.permutations(["4", "4", "5", "5", "6"]):
    value = answers.maj_at_k([order], [[right[a] for a in order]])
    np.testing.assert_array_equal(value, [0.5])


def test_no_answer_never_wins_over_an_answer():
  rows = [[None, None, "4"], [None, None, None]]
  right = [[False, False, True], [False, False, False]]
  np.testing.assert_array_equal(answers.maj_at_k(rows, right), [1.0, 0.0])


def test_a_unanimous_vote_equals_the_mean():
  right = np.array([[True] * 4, [False] * 4])
  rows = [["1"] * 4, ["2"] * 4]
  np.testing.assert_array_equal(
    answers.maj_at_k(rows, right), answers.avg_at_k(right)
  )


def test_answer_entropy_is_zero_for_one_answer_and_ln_n_for_all_different():
  rows = [["1"] * 4, ["1", "2", "3", "4"], ["1", "1", "2", "2"]]
  np.testing.assert_allclose(
    answers.answer_entropy(rows), [0, np.log(4), np.log(2)]
  )


def test_answer_entropy_counts_no_answer_as_a_category():
  # Two of three alike: ln 3 - (2/3) ln 2 = 0.6365.
  rows = [["1", "1", None], [None, None, "1"], ["1", "1", "2"]]
  np.testing.assert_allclose(
    answers.answer_entropy(rows), np.log(3) - 2 / 3 * np.log(2)
  )


@fixed
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_merging_two_answers_never_raises_the_entropy(row):
  merged = ["a" if a == "b" else a for a in row]
  before, after = answers.answer_entropy([row, merged])
  assert 0 <= after <= before + 1e-12 <= np.log(len(row)) + 2e-12


def test_distinct_right_counts_each_right_answer_once():
  rows = [["1+3", "3+1", "1+3", "9"], ["9", "9", "9", None]]
  right = [[True, True, True, False], [False, False, False, True]]
  np.testing.assert_array_equal(answers.distinct_right(rows, right), [2, 0])


def test_the_interval_is_repeatable_and_leaves_the_global_generator_alone():
  values = np.linspace(0, 1, 40)
  before = np.random.get_state()[1].copy()
  first = answers.bootstrap_interval(values, seed=3)
  assert first == answers.bootstrap_interval(values, seed=3)
  assert first != answers.bootstrap_interval(values, seed=4)
  np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_the_interval_has_the_width_of_the_normal_law():
  values = np.random.default_rng(0).normal(size=2000)
  low, high = answers.bootstrap_interval(values, seed=0, draws=4000)
  width = 2 * 1.96 * values.std() / np.sqrt(2000)
  assert high - low == pytest.approx(width, rel=0.1)
  assert low < values.mean() < high


def test_an_interval_of_nothing_or_of_an_odd_level_is_refused():
  with pytest.raises(ValueError, match="`values` is empty"):
    answers.bootstrap_interval(np.zeros(0), seed=0)
  with pytest.raises(ValueError, match="`level` = 95 must lie in"):
    answers.bootstrap_interval(np.ones(3), seed=0, level=95)


def test_a_problem_may_have_fewer_samples_than_another():
  rows = [["1", "2", "2", None], ["7"]]
  right = [[True, False, False, False], [True]]
  np.testing.assert_array_equal(answers.avg_at_k(right), [1 / 4, 1])
  np.testing.assert_array_equal(answers.maj_at_k(rows, right), [0, 1])
  np.testing.assert_array_equal(answers.distinct(rows), [2, 1])
  np.testing.assert_array_equal(answers.distinct_right(rows, right), [1, 1])


@pytest.mark.parametrize("figure", [answers.maj_at_k, answers.distinct_right])
def test_answers_and_verdicts_of_other_shapes_are_refused(figure):
  with pytest.raises(ValueError, match="problem 1 has 2 answers and 1 ve"):
    figure([["1"], ["1", "2"]], [[True], [True]])
  with pytest.raises(ValueError, match="holds 2 problems, `right` 1"):
    figure([["1"], ["2"]], [[True]])
  with pytest.raises(ValueError, match="problem 0 has 0 answers"):
    figure([[]], [[]])


counts = st.tuples(*[st.integers(0, 500)] * 4)


@fixed
@given(counts)
def test_swapping_the_policies_negates_the_net_change(cells):
  p, e, s, o = cells
  forward = support.support_rates((p, e, s, o))
  backward = support.support_rates((p, s, e, o))
  assert forward.nscr == -backward.nscr
  assert -1 <= forward.nscr <= 1
  assert (forward.srr == 1) == (s == 0 and p > 0)


@fixed
@given(counts)
def test_the_score_is_the_harmonic_mean_in_closed_form(cells):
  p, e, s, _ = cells
  below = p * p + 2 * p * e + e * s
  expected = 2 * p * e / below if below else 0.0
  assert support.support_rates(cells).sds == pytest.approx(expected)


def test_support_counts_cover_every_problem_once():
  base = np.array([1, 1, 0, 0, 0], bool)
  trained = np.array([1, 0, 1, 0, 0], bool)
  assert support.support_counts(base, trained) == (1, 1, 1, 2)
  with pytest.raises(ValueError, match="same problems"):
    support.support_counts(base, trained[:3])


@pytest.mark.parametrize("cells", [(1, 2, 3), (1, -2, 3, 4)])
def test_counts_that_are_not_four_numbers_of_problems_are_refused(cells):
  with pytest.raises(ValueError, match="must be four numbers of problems"):
    support.support_rates(cells)


def test_the_interval_of_the_rates_holds_the_rates():
  rng = np.random.default_rng(0)
  base, trained = rng.random((2, 300)) < 0.6
  rates = support.support_rates(support.support_counts(base, trained))
  low, high = support.support_rates_interval(base, trained, seed=0)
  assert all(a < x < b for a, x, b in zip(low, rates, high))


def test_the_threshold_is_the_published_one_and_bounds_the_exact_form():
  assert support.support_threshold(8192) == pytest.approx(3.66e-4, rel=2e-3)
  assert support.support_threshold(64) >= 1 - 0.05 ** (1 / 64)


def test_token_entropy_weighs_responses_alike_and_ignores_padding():
  entropy = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, 6.0]])
  mask = np.array([[1, 0, 0], [1, 1, 1]], bool)
  assert support.token_entropy(entropy, mask) == (1 + 4) / 2
  uniform = np.full((2, 3), np.log(50))
  assert support.token_entropy(uniform, mask) == pytest.approx(np.log(50))


def test_the_perplexity_of_a_uniform_policy_is_its_vocabulary():
  logp = np.full((2, 5), -np.log(50))
  mask = np.tri(2, 5, 3, bool)
  assert support.reference_perplexity(logp, mask) == pytest.approx(50)
