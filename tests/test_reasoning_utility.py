"""Entropy of the right answer along a solution: curves and their figures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.analysis import reasoning_utility as ru

V = 4
from_logits = jax.jit(ru.from_logits)


def entropies(logits, answer=None, steps=None):
  logits = jnp.asarray(logits, jnp.float32)
  answer = np.ones(logits.shape[1], bool) if answer is None else answer
  steps = np.ones(logits.shape[0], bool) if steps is None else steps
  return from_logits(logits, answer, steps)


def test_two_tokens_have_the_entropy_of_the_closed_form():
  a = np.array([0.0, 0.5, -3.0, 20.0])
  logits = np.stack([a, np.zeros(4)], axis=1)[:, None]
  found, gains = entropies(logits)
  want = np.log1p(np.exp(a)) - a / (1 + np.exp(-a))
  np.testing.assert_allclose(found, want, atol=1e-6)
  np.testing.assert_allclose(gains, want[:-1] - want[1:], atol=1e-6)


def test_an_inspector_that_knows_nothing_or_everything():
  found, gains = entropies(np.zeros((3, 2, V)))
  np.testing.assert_allclose(found, np.log(V), rtol=1e-6)
  np.testing.assert_allclose(gains, 0, atol=1e-6)
  sure = np.where(np.arange(V) == 1, 0.0, -np.inf)
  found, _ = entropies(np.broadcast_to(sure, (3, 2, V)))
  np.testing.assert_array_equal(found, 0)


def test_the_gains_add_up_and_the_mean_is_over_the_tokens_of_the_answer():
  logits = jax.random.normal(jax.random.key(0), (5, 3, V)) * 3
  found, gains = entropies(logits)
  assert gains.sum() == pytest.approx(float(found[0] - found[-1]), abs=1e-6)
  assert (found >= 0).all() and (found <= np.log(V) + 1e-6).all()
  p = np.asarray(jax.nn.softmax(logits), np.float64)
  by_hand = -(p * np.log(p)).sum(axis=-1).mean(axis=1)
  np.testing.assert_allclose(found, by_hand, rtol=1e-5)
  masked, _ = entropies(logits, answer=np.array([True, False, True]))
  kept, _ = entropies(logits[:, [0, 2]])
  np.testing.assert_allclose(masked, kept, rtol=1e-6)


def test_padded_steps_change_nothing():
  logits = jax.random.normal(jax.random.key(1), (4, 2, V))
  padded = jnp.concatenate([logits, 9 * logits[:2]])
  found, gains = entropies(padded, steps=np.arange(6) < 4)
  plain, plain_gains = entropies(logits)
  np.testing.assert_array_equal(found[:4], plain)
  np.testing.assert_array_equal(gains[:3], plain_gains)
  np.testing.assert_array_equal(found[4:], 0)
  np.testing.assert_array_equal(gains[3:], 0)


def test_what_is_read_lowers_the_entropy_of_the_answer_in_the_mean():
  # An answer and three steps that depend on it; each curve may rise.
  dice = np.random.default_rng(0)
  joint = dice.dirichlet(np.ones(2**4)).reshape((2,) * 4)
  means, rises = [], False
  for read in range(4):
    seen = joint.sum(axis=tuple(range(1 + read, 4))).reshape(2, -1)
    posterior = seen / seen.sum(axis=0)
    h, _ = entropies(np.log(posterior.T)[:, None])
    means.append((np.asarray(h) * seen.sum(axis=0)).sum())
    rises |= bool((h > means[0] + 1e-3).any())
  assert (np.diff(means) <= 1e-6).all() and rises


def test_a_solution_is_cut_at_empty_lines_then_lines_then_sentences():
  text = "First a.\nThen b.\n\n\n\nSo c. \n\n"
  assert ru.steps(text) == ["First a.\nThen b.", "\n\n\n\nSo c. \n\n"]
  assert ru.steps("a = 1\nb = 2\n") == ["a = 1", "\nb = 2\n"]
  assert ru.steps("It is 1.5. Is it? Yes!") == [
    "It is 1.5.",
    " Is it?",
    " Yes!",
  ]
  assert ru.steps("\n\nwhole") == ["\n\nwhole"]
  assert ru.steps(" \n\n ") == []


@pytest.mark.parametrize("seed", range(5))
def test_the_steps_of_a_solution_are_all_of_it(seed):
  dice = np.random.default_rng(seed)
  text = "".join(dice.choice(list("ab. \n!"), 200))
  found = ru.steps(text)
  assert "".join(found) == text and all(step.strip() for step in found)


def test_the_figures_of_a_straight_curve():
  found = ru.utility([2.0, 1.5, 1.0])
  assert found == pytest.approx((1.0, -1.0, 1.0))
  risen = ru.utility([1.0, 0.5, 0.5, 2.0])
  assert risen.total == pytest.approx(-1) and risen.falling == 1 / 3
  line = np.polyfit(np.linspace(0, 1, 4), [1.0, 0.5, 0.5, 2.0], 1)[0]
  assert risen.slope == pytest.approx(line)
  with pytest.raises(ValueError, match="at least one step"):
    ru.utility([1.0])


def test_a_cubic_comes_back_and_few_values_are_joined_by_lines():
  cubic = lambda x: 1 + x - 3 * x**2 + 2 * x**3
  share = np.linspace(0, 1, 20)
  for count in (4, 7):
    found = ru.resampled(cubic(np.linspace(0, 1, count)))
    np.testing.assert_allclose(found, cubic(share), atol=1e-12)
  np.testing.assert_allclose(
    ru.resampled([2.0, 0.0, 1.0], 5), [2, 1, 0, 0.5, 1]
  )


def test_the_interval_draws_problems_with_all_their_solutions():
  curves = np.array([[0.0, 0], [0, 0], [0, 0], [2, 4]])
  one = ru.average(curves, ["a"] * 4, seed=0)
  # One problem: nothing to draw.
  assert one.curves == 4
  np.testing.assert_array_equal(one[:3], [[0.5, 1]] * 3)
  two = ru.average(curves, ["a", "a", "a", "b"], seed=0)
  np.testing.assert_array_equal(two.mean, [0.5, 1])
  np.testing.assert_array_equal([two.low, two.high], [[0, 0], [2, 4]])
  with pytest.raises(ValueError, match="0 curves"):
    ru.average(np.zeros((0, 3)), [], seed=0)


def test_the_separation_is_the_share_of_pairs_in_order():
  assert ru.separation([3, 2], [1, 2.5]) == 0.75
  assert ru.separation([1, 1], [1]) == 0.5
  assert np.isnan(ru.separation([], [1]))
