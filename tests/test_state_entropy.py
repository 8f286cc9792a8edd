"""The estimate of a state entropy, and its meaning as robustness."""

import numpy as np
import pytest

from rlvr_jax.analysis import state_entropy


def test_the_neighbour_is_another_point_even_at_the_same_place():
  points = np.array([[0.0], [0.0], [1.0], [3.0]])
  np.testing.assert_array_equal(state_entropy.nearest(points, 1), [0, 0, 1, 2])
  np.testing.assert_array_equal(state_entropy.nearest(points, 2), [1, 1, 1, 3])


@pytest.mark.parametrize("size", [1, 2])
def test_a_uniform_sample_of_the_unit_cube_has_entropy_zero(size):
  points = np.random.default_rng(0).random((3000, size))
  assert abs(state_entropy.knn_entropy(points)) < 0.1


def test_a_normal_sample_has_the_entropy_of_its_density():
  points = np.random.default_rng(0).normal(size=(3000, 2))
  want = np.log(2 * np.pi * np.e)
  assert state_entropy.knn_entropy(points) == pytest.approx(want, abs=0.1)


def test_scaling_adds_the_logarithm_in_every_dimension():
  points = np.random.default_rng(0).random((50, 3))
  change = state_entropy.knn_entropy(5 * points) - state_entropy.knn_entropy(
    points
  )
  assert change == pytest.approx(3 * np.log(5))


def test_it_does_not_change_under_translation_and_rotation():
  dice = np.random.default_rng(0)
  points = dice.normal(size=(40, 3))
  turn = np.linalg.qr(dice.normal(size=(3, 3)))[0]
  moved = points @ turn + 7
  found = state_entropy.knn_entropy(moved)
  assert found == pytest.approx(state_entropy.knn_entropy(points))


def test_few_rollouts_give_a_far_less_certain_estimate():
  dice = np.random.default_rng(0)
  spread = [
    np.std([state_entropy.knn_entropy(dice.random((n, 2))) for _ in range(60)])
    for n in (8, 128)
  ]
  # The standard error falls like 1 / sqrt(N): by four.
  assert spread[0] > 2.5 * spread[1]


def test_the_robust_value_is_earned_under_the_worst_reward():
  dice = np.random.default_rng(1)
  for _ in range(20):
    visits, reward = dice.dirichlet(np.ones(6)), dice.normal(size=6)
    alpha, radius = dice.uniform(0.1, 2.0), dice.uniform(0, 1)
    how = (reward, visits, alpha, radius)
    worst = state_entropy.worst_reward(*how)
    value = state_entropy.robust_value(*how)
    assert visits @ worst == pytest.approx(value)
    bound = radius / alpha + np.log(6)
    found = state_entropy.distortion(reward, worst, alpha)
    assert found == pytest.approx(bound)


def test_no_other_reward_of_the_set_is_worse():
  dice = np.random.default_rng(2)
  visits, reward = dice.dirichlet(np.ones(4)), dice.normal(size=4)
  alpha, radius = 0.5, 0.3
  least = state_entropy.robust_value(reward, visits, alpha, radius)
  bound = radius / alpha + np.log(4)
  for _ in range(300):
    other = reward + dice.normal(size=4)
    # The least lowering of all rewards together that touches the bound.
    shift = alpha * (bound - state_entropy.distortion(reward, other, alpha))
    other -= shift
    assert state_entropy.distortion(reward, other, alpha) <= bound + 1e-9
    assert visits @ other >= least - 1e-9


def test_points_without_an_entropy_are_refused():
  with pytest.raises(ValueError, match="`k` = 4"):
    state_entropy.knn_entropy(np.zeros((4, 2)), 4)
  with pytest.raises(ValueError, match="4 of 4 equal"):
    state_entropy.knn_entropy(np.zeros((4, 2)), 2)
