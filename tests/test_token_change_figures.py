"""The figures of true and estimated entropy changes."""

import numpy as np
import pytest

from rlvr_jax.analysis import token_change
from rlvr_jax.analysis.token_change import Quadrant, Score
from rlvr_jax.report import token_change as draw


@pytest.fixture(scope="module")
def step():
  dice = np.random.default_rng(0)
  logits, tokens = dice.normal(size=(50, 5)), dice.integers(0, 5, 50)
  gain, mask = dice.normal(size=50), np.arange(50) < 45
  states = np.arange(50)
  return token_change.tabular(logits, states, tokens, gain, mask, 1.0)


def test_every_estimate_has_a_panel_with_its_correlations(step):
  panels = draw.scatter(step).axes
  for axes, (name, told) in zip(panels, token_change.scores(step).items()):
    title = axes.get_title("left")
    assert title.startswith(token_change.ESTIMATES[name])
    assert f"Pearson {told.pearson:.2f}, ranks {told.spearman:.2f}" in title
    (dots,) = axes.collections
    assert 40 <= len(dots.get_offsets()) <= 45  # the farthest are left out
  assert len(panels) == len(token_change.ESTIMATES)


def test_every_seed_has_a_dot_and_their_mean_a_bar():
  of = lambda value: dict.fromkeys(
    token_change.ESTIMATES, Score(0.0, value, -value)
  )
  figure = draw.correlations({"table": [of(0.2), of(0.4)], "model": [of(0.1)]})
  pearson, ranks = figure.axes
  bars = [bar.get_width() for bar in pearson.patches]
  np.testing.assert_allclose(bars, [0.3] * 5 + [0.1] * 5)
  np.testing.assert_allclose(
    [bar.get_width() for bar in ranks.patches], [-0.3] * 5 + [-0.1] * 5
  )
  np.testing.assert_allclose(pearson.lines[0].get_xdata(), [0.2, 0.4])


def test_the_quadrants_are_drawn_in_the_unit_that_is_told():
  split = {name: Quadrant(0.25, 2e-4, -3e-7) for name in draw.QUADRANTS}
  split["negative_rare"] = Quadrant(0.2, -5e-4, 0.0)
  shares, true, estimated = draw.quadrants(split).axes
  heights = lambda axes: [bar.get_height() for bar in axes.patches]
  np.testing.assert_allclose(heights(shares), [0.25, 0.25, 0.25, 0.2])
  np.testing.assert_allclose(heights(true), [2, 2, 2, -5])
  np.testing.assert_allclose(heights(estimated), [-3, -3, -3, 0])
  assert "10^{-4}" in true.get_title("left")
  assert "10^{-7}" in estimated.get_title("left")


def test_the_curves_of_the_theory_turn_at_their_boundary():
  (axes,) = draw.magnitude((0.5, 1.0)).axes
  curve, boundary = axes.lines[:2]
  at = boundary.get_xdata()[0]
  assert at == pytest.approx(np.exp(-0.5))
  p, size = curve.get_data()
  inner = (p > 0.3) & (p < 0.9)
  assert p[inner][np.argmin(size[inner])] == pytest.approx(at, abs=2e-3)
