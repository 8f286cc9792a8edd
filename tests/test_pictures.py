"""Pictures of policies and of tokens show what they are given."""

import types

import numpy as np
import pytest

from rlvr_jax.analysis.edits import Stage
from rlvr_jax.report import simplex, style, token_maps
from rlvr_jax.types import LOGP_KEY

MASK = np.array([[1, 1, 1], [1, 0, 0]], bool)


def levels(figure):
  return [axes.collections[0].levels for axes in figure.axes[:-1]]


def test_the_grid_holds_each_policy_of_the_triangle_once():
  policies = simplex.grid(6)
  assert len(np.unique(policies, axis=0)) == len(policies) == 7 * 8 // 2
  np.testing.assert_allclose(policies.sum(axis=1), 1)
  assert policies.min() == 0 and policies.max() == 1


def test_a_certain_policy_lies_in_its_corner_and_an_even_one_in_the_middle():
  np.testing.assert_array_equal(simplex.place(np.eye(3)), simplex.CORNERS)
  middle = simplex.place(np.full(3, 1 / 3))
  np.testing.assert_allclose(middle, simplex.CORNERS.mean(axis=0))


def test_a_policy_has_no_entropy_in_a_corner_and_most_in_the_middle():
  assert simplex.entropy(np.eye(3)).tolist() == [0, 0, 0]
  assert simplex.entropy(np.full(3, 1 / 3)) == pytest.approx(np.log(3))
  assert simplex.entropy(simplex.grid()).max() <= np.log(3) + 1e-12


def test_triangles_of_a_figure_share_their_colours():
  small, large = simplex.grid().T[:2] * [[0.1], [-3.0]]
  first, second = levels(
    simplex.maps({"s": small, "l": large}, "", "", signed=True)
  )
  np.testing.assert_array_equal(first, second)
  np.testing.assert_allclose(first, -first[::-1])
  assert first[0] < -3 and first[-1] > 3  # or the largest have no colour


def test_a_path_goes_from_a_ring_to_a_dot():
  path = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1]])
  axes = simplex.paths({"": {"a": [path]}}, "").axes[0]
  line, ring, dot = axes.get_lines()
  np.testing.assert_allclose(line.get_xydata(), simplex.place(path))
  assert ring.get_markerfacecolor() == "white"
  np.testing.assert_allclose(ring.get_xydata()[0], simplex.CORNERS[0])
  np.testing.assert_allclose(dot.get_xydata()[0], simplex.CORNERS[2])


def stage(name, **changed):
  ones, zeros = np.ones(MASK.shape), np.zeros(MASK.shape)
  fields = dict(
    advantages=zeros, clip_low=ones, clip_high=ones, weights=ones, added=zeros
  )
  record = types.SimpleNamespace(**fields | changed)
  return Stage(name, record, 0.0, {LOGP_KEY: record.advantages})


def test_of_a_chain_only_what_changed_is_drawn():
  gain = np.array([[2.0, 2, 2], [-2, 9, 9]])
  found = [stage(""), stage("grpo", advantages=gain)]
  half = np.full(MASK.shape, 0.5)
  found.append(stage("steer", advantages=gain, weights=half))
  figure = token_maps.stages(found, MASK, "")
  titles = [axes.get_title() for axes in figure.axes]
  assert [t for t in titles if t] == ["advantage", "weight", "push on log π"]
  rows = [axes.get_ylabel() for axes in figure.axes]
  assert [name for name in rows if name] == ["before", "grpo", "steer"]
  panels = np.array(figure.axes[:9]).reshape(3, 3)
  drawn = [[bool(axes.images) for axes in row] for row in panels]
  assert drawn == [[1, 1, 1], [1, 0, 1], [0, 1, 0]]
  (image,) = panels[1][0].images
  # What does not count has no colour, and stretches none.
  np.testing.assert_array_equal(image.get_array().mask, ~MASK)
  assert (image.norm.vmin, image.norm.vmax) == (-2, 2)


def test_tokens_are_written_where_they_stand():
  nats = np.where(MASK, 0.3, np.nan)
  prompts, responses = ["5=", "7="], ["1$+", "2"]
  figure = token_maps.texts({"x": (responses, nats)}, prompts, "", "nats")
  labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
  assert labels == prompts
  written = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
  tokens = {(0, 0): "1", (1, 0): "$", (2, 0): "+", (0, 1): "2"}
  assert written == {at: style.plain(text) for at, text in tokens.items()}
