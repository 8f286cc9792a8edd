"""The covariance of a run beside the fall of its entropy."""

import numpy as np
import pytest

from rlvr_jax.analysis import entropy_covariance
from rlvr_jax.report import covariance
from rlvr_jax.report.runs import Run

STEPS = np.arange(30)
COVARIANCE = 0.02 * np.exp(-STEPS / 10)


def entropy_after(falls):
  """Entropies that fall by so much in each step."""
  return 1.0 - np.concatenate([[0], np.cumsum(falls)[:-1]])


def follow(covariance=COVARIANCE, entropy=None, window=1, steps=STEPS):
  entropy = entropy_after(COVARIANCE) if entropy is None else entropy
  series = (steps, covariance), (STEPS, entropy)
  return entropy_covariance.follow(*series, window=window)


def test_an_entropy_that_falls_by_the_covariance_follows_it():
  found = follow()
  np.testing.assert_array_equal(found.steps, STEPS[:-1])
  np.testing.assert_allclose(found.fall, found.covariance, atol=1e-12)
  assert found.pearson == pytest.approx(1)
  rising = follow(entropy=entropy_after(-COVARIANCE))
  assert rising.pearson == pytest.approx(-1)
  assert rising.spearman == pytest.approx(-1)


def test_a_window_takes_steps_together():
  found = follow(window=3)
  np.testing.assert_array_equal(found.steps, STEPS[:-3])
  np.testing.assert_allclose(found.fall, 3 * found.covariance)
  wiggle = COVARIANCE + 0.02 * (-1.0) ** STEPS
  assert follow(wiggle, window=2).pearson > 0.9 > follow(wiggle).pearson


def test_steps_without_one_of_the_numbers_are_left_out():
  gap = np.where(STEPS == 4, np.nan, COVARIANCE)
  np.testing.assert_array_equal(follow(gap).steps, np.delete(STEPS[:-1], 4))
  late = follow(COVARIANCE[10:], steps=STEPS[10:])
  np.testing.assert_array_equal(late.steps, STEPS[10:-1])
  with pytest.raises(ValueError, match="1 steps have a covariance"):
    follow(window=29)


def test_prompts_that_teach_nothing_are_in_no_class_of_accuracy():
  solved = np.arange(9) / 8
  classes = entropy_covariance.classes(solved)
  counts = {name: np.flatnonzero(x).tolist() for name, x in classes.items()}
  assert counts == {"hard": [1], "middle": [2, 3, 4, 5, 6], "easy": [7]}
  found = entropy_covariance.by_accuracy(np.arange(9.0), solved)
  assert found == {"hard": 1, "middle": 4, "easy": 7}
  assert np.isnan(entropy_covariance.by_accuracy([1.0], [0.5])["easy"])


def test_a_run_is_drawn_with_the_correlation_that_it_has():
  metrics = {
    "covariance/prompt": COVARIANCE,
    "covariance/prompt_easy": 2 * COVARIANCE,
    "covariance/prompt_hard": np.full(30, np.nan),
    "policy/entropy": entropy_after(COVARIANCE),
  }
  run = Run("a", {}, {k: (STEPS, v) for k, v in metrics.items()})
  assert covariance.track(run).pearson == pytest.approx(1)
  left, right, falls = covariance.covariance(run, window=2).axes
  np.testing.assert_allclose(
    left.lines[0].get_ydata(), follow(window=2).covariance
  )
  np.testing.assert_allclose(falls.lines[0].get_ydata(), follow(window=2).fall)
  assert "Pearson 1.00" in left.get_title("left")
  assert len(right.lines) == 2  # raw and smoothed; of no class but one
  with pytest.raises(ValueError, match="0 steps"):
    covariance.covariance(Run("a", {}, {}))
