"""GMPO: geometric means of clipped ratios."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.gmpo import gmpo

pytestmark = pytest.mark.usefixtures("quick_compile")

MODE = "seq-mean-token-mean"
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
LENGTH = np.array([[4], [2], [1]])
ADVANTAGES = np.array([[1.0], [-2.0], [0.5]]) * MASK
OLD = np.full((3, 4), -0.7, np.float32)


def run(method, d, advantages=ADVANTAGES):
  rollout = common.batch(OLD, advantages, MASK)
  return common.loss_and_grad(method, rollout, OLD + np.float32(d), mode=MODE)


def test_inside_the_bounds_it_is_the_geometric_mean_of_the_ratios():
  d = 0.1 * np.arange(12.0).reshape(3, 4) * MASK
  loss, gradient, _ = run(gmpo(low=9.0, high=9.0), d)
  ratio = np.exp((d * MASK).sum(axis=1, keepdims=True) / LENGTH)
  rows = -np.array([[1.0], [-2.0], [0.0]]) * ratio
  # Two rows hold a token; the third does not count.
  np.testing.assert_allclose(loss, rows[:2].mean(), rtol=1e-5)
  want = rows * MASK / LENGTH / 2
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)


def test_a_token_is_clipped_in_the_direction_of_its_advantage_only():
  d = np.array([[0.9, -0.9, 0.1, 0.0], [-0.9, 0.9, 0, 0], [0, 0, 0, 0]])
  loss, gradient, metrics = run(gmpo(), d)
  # Row 0 counts 0.4 - 0.9 + 0.1, row 1 counts -0.4 + 0.9.
  first, second = -np.exp(-0.4 / 4), 2 * np.exp(0.5 / 2)
  np.testing.assert_allclose(loss, (first + second) / 2, rtol=1e-5)
  want = np.zeros((3, 4))
  want[0, 1:], want[1, 1] = first / 4 / 2, second / 2 / 2
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)
  share = lambda name: metrics[f"gmpo/outside_{name}_fraction"]
  np.testing.assert_allclose(share("positive"), 2 / 6, rtol=1e-6)
  np.testing.assert_allclose(share("negative"), 2 / 6, rtol=1e-6)
  np.testing.assert_allclose(metrics["loss/clipped_fraction"], 2 / 6, rtol=1e-6)


def test_on_the_policy_that_sampled_each_token_pulls_by_its_share():
  _, gradient, _ = run(gmpo(), 0 * OLD)
  np.testing.assert_allclose(gradient, -ADVANTAGES / LENGTH / 2, rtol=1e-6)


def test_one_wild_token_moves_the_ratio_less_than_the_arithmetic_mean():
  d = np.zeros((3, 4))
  d[1, 0] = 3.0  # the ratios of row 1 are e^3 and 1
  loss, _, _ = run(gmpo(), d)
  np.testing.assert_allclose(loss, (-1 + 2 * np.exp(1.5)) / 2, rtol=1e-5)
  assert 2 * np.exp(1.5) < 2 * (np.exp(3) + 1) / 2


def test_a_token_without_advantage_has_no_say():
  advantages = ADVANTAGES * np.array([1.0, 0.0, 1.0, 1.0])
  d = np.zeros((3, 4))
  d[0, 1] = 2.0
  loss, gradient, _ = run(gmpo(), d, advantages)
  np.testing.assert_allclose(loss, (-3 / 4 + 2 / 2) / 2, rtol=1e-6)
  assert gradient[0, 1] == 0


@pytest.mark.parametrize(
  ("weighting", "first", "second"),
  [("arithmetic", 2.5, 3.0), ("geometric", 24**0.25, 5**0.5)],
)
def test_weights_act_by_their_mean_over_the_response(weighting, first, second):
  weights = np.array([[1.0, 2, 3, 4], [5, 1, 9, 9], [9, 9, 9, 9]])
  weigh = transform.reweight("weights", lambda o, c: weights)
  method = transform.chain(gmpo(weighting=weighting), weigh)
  loss, gradient, _ = run(method, 0 * OLD)
  np.testing.assert_allclose(loss, (-first + 2 * second) / 2, rtol=1e-6)
  felt = np.array([[first], [second], [0.0]])
  want = -felt * ADVANTAGES / LENGTH / 2
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)


def test_a_weight_of_zero_enters_the_geometric_mean_as_almost_nothing():
  weights = np.array([[0.0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
  weigh = transform.reweight("weights", lambda o, c: weights)
  method = transform.chain(gmpo(weighting="geometric"), weigh)
  loss, gradient, _ = run(method, 0 * OLD)
  np.testing.assert_allclose(loss, -(1e-10**0.25) / 2, rtol=1e-5)
  assert np.isfinite(gradient).all() and not gradient[1:].any()


@pytest.mark.parametrize(
  "wrong", [{"low": -0.1}, {"high": float("nan")}, {"weighting": "mean"}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"gmpo\.{list(wrong)[0]} = "):
    gmpo(**wrong)
