"""The tokens of highest entropy, their share of it, and their words."""

import numpy as np
import pytest

from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.analysis import token_entropy
from rlvr_jax.methods.forking_tokens import forking_tokens
from rlvr_jax.report import forks as draw

pytestmark = pytest.mark.usefixtures("quick_compile")

NATS = np.array([[0.0, 2.0, 0.005, 1.0], [3.0, 0.5, 0.0, 9.0]])
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool)


def test_the_top_share_holds_its_part_of_the_entropy():
  found = token_entropy.forks(NATS, MASK, 0.4)  # of seven tokens three
  np.testing.assert_array_equal(
    np.argwhere(found.chosen), [[0, 1], [0, 3], [1, 0]]
  )
  assert found.threshold == 1
  assert found.mass == pytest.approx(6 / 6.505)
  assert found.certain == pytest.approx(3 / 7)


def test_what_does_not_count_is_never_read():
  junk = np.where(MASK, NATS, np.nan)
  expected = token_entropy.forks(NATS, MASK)
  found = token_entropy.forks(junk, MASK)
  np.testing.assert_array_equal(found.chosen, expected.chosen)
  assert found[1:] == expected[1:]
  nothing = token_entropy.forks(NATS, np.zeros_like(MASK))
  assert not nothing.chosen.any() and nothing[1:] == (0, 0, 0)


def test_all_tokens_hold_all_entropy():
  found = token_entropy.forks(NATS, MASK, 1.0)
  np.testing.assert_array_equal(found.chosen, MASK)
  assert found.mass == 1 and found.threshold == 0
  with pytest.raises(ValueError, match="`share` = 1.2 must lie in"):
    token_entropy.forks(NATS, MASK, 1.2)


def test_they_are_the_tokens_that_the_method_trains_on():
  method, flat = forking_tokens(), np.zeros(MASK.shape, np.float32)
  stats = {method.needs[0].key: np.float32(NATS)}
  batch = common.batch(flat, flat, MASK)
  trained = edited(method, batch, flat, stats=stats).mask
  chosen = token_entropy.forks(NATS, MASK).chosen
  np.testing.assert_array_equal(chosen, trained)


def test_the_most_frequent_words_come_first():
  pieces = [["so", " wait", "x", "wait "], [" so", "y", "", "so"]]
  found = token_entropy.words(
    pieces, NATS, token_entropy.forks(NATS, MASK, 0.5).chosen
  )
  assert found == [("wait", 2, 1.5), ("so", 1, 3.0), ("y", 1, 0.5)]
  figure = draw.words(found, most=2)
  (axes,) = figure.axes
  assert [bar.get_width() for bar in axes.patches] == [2, 1]
  assert [t.get_text() for t in axes.get_yticklabels()] == ["wait", "so"]


def test_the_histogram_counts_every_token_once():
  found = token_entropy.forks(NATS, MASK, 0.4)
  (axes,) = draw.histogram(NATS, MASK, found).axes
  heights = [bar.get_height() for bar in axes.patches]
  assert sum(heights[: draw.BINS]) == 7 and sum(heights[draw.BINS :]) == 3
  assert "92% of all entropy" in axes.texts[-1].get_text()
