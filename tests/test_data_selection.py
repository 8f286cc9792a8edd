"""Which problems to keep, by the history of their accuracy."""

import json

import numpy as np
import pytest

from rlvr_jax.analysis import data_selection as selection

NAN = np.nan


def test_a_problem_half_right_half_of_the_time_fluctuates_most():
  history = [[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0.5, 0.5, 0, 1]]
  found = selection.historical_deviation(history)
  np.testing.assert_allclose(found**2, [0.25, 0, 0, 0.125])
  np.testing.assert_array_equal(selection.rank(found), [0, 3, 1, 2])


def test_problems_that_fluctuate_alike_stay_in_their_order():
  # Their variances, 7 / 288, differ in the last bit.
  history = np.array([[0.875, 0.625, 0.5], [0.25, 0.625, 0.5]])
  assert np.var(history[0]) < np.var(history[1])
  found = selection.rank(selection.historical_deviation(history))
  np.testing.assert_array_equal(found, [0, 1])


def test_the_order_of_the_visits_does_not_count():
  dice = np.random.default_rng(0)
  history = dice.integers(0, 9, (5, 7)) / 8
  found = selection.historical_deviation(history)
  shuffled = selection.historical_deviation(history[:, dice.permutation(7)])
  np.testing.assert_allclose(shuffled, found)


def test_missing_visits_do_not_count_and_no_visit_is_no_fluctuation():
  history = [[0, 1, NAN, NAN], [NAN, 1, 0, NAN], [NAN] * 4]
  found = selection.historical_deviation(history)
  np.testing.assert_allclose(found, [0.5, 0.5, 0])
  np.testing.assert_array_equal(selection.rank(found), [0, 1, 2])


def test_a_problem_on_the_mean_curve_has_the_full_impact():
  history = np.array([[0, 0.5, 1], [0, 0.25, 0.5], [0, 0.75, 1.5]])
  found = selection.learning_impact(history)
  assert found[0] == 1.0 and (found[1:] < 1).all()
  # 1 - ((1/4)^2 + (1/2)^2) / (1 + (1/2)^2)
  np.testing.assert_allclose(found[1:], 1 - 0.3125 / 1.25)


def test_the_impact_is_of_the_visits_that_all_visited_problems_had():
  history = [[0, 1, 0.125], [1, 0, NAN], [NAN, NAN, NAN]]
  found = selection.learning_impact(history)
  np.testing.assert_allclose(found, [0, 0, -np.inf])
  assert (
    selection.learning_impact(np.full((2, 3), NAN)).tolist() == [-np.inf] * 2
  )
  # Nothing is left to learn: no division by 0.
  np.testing.assert_array_equal(selection.learning_impact(np.ones((2, 3))), 1)


def test_random_order_is_a_permutation_that_hangs_on_the_seed():
  found = selection.random_rank(50, seed=1)
  assert sorted(found) == list(range(50))
  np.testing.assert_array_equal(found, selection.random_rank(50, seed=1))
  assert (found != selection.random_rank(50, seed=2)).any()


def test_the_history_of_a_run_has_one_column_per_visit(tmp_path):
  lines = [
    {"step": 0, "problems": [3, 0], "right": [0.5, 1.0]},
    {"step": 1, "problems": [3, 3], "right": [0.25, None]},
    {"step": 2, "problems": [1, 3], "right": [0.0, 0.75]},
  ]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (tmp_path / "accuracy.jsonl").write_text(text)
  want = [[1, NAN, NAN], [0, NAN, NAN], [NAN] * 3, [0.5, 0.25, 0.75]]
  np.testing.assert_array_equal(selection.read(tmp_path), want)


def test_a_table_of_another_shape_is_refused():
  with pytest.raises(ValueError, match=r"shape \(3,\)"):
    selection.historical_deviation([0.0, 0.5, 1.0])
