"""Ellipsoids, prediction errors and running moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import novelty
from rlvr_jax.novelty import counts

pytestmark = pytest.mark.usefixtures("quick_compile")

RIDGE = 0.5


def states(count, size, seed=0):
  draw = np.random.default_rng(seed).normal(size=(count, size))
  return jnp.asarray(draw, jnp.float32)


def against(x, others):
  """The bonus by its definition, in float64."""
  others = np.asarray(others, np.float64)
  cov = others.T @ others + RIDGE * np.eye(len(x))
  return np.asarray(x) @ np.linalg.solve(cov, np.asarray(x, np.float64))


def test_updates_of_rank_one_are_the_inverse_of_the_sum():
  x = states(12, 3)
  found = novelty.sequence(x, RIDGE)
  want = [against(x[t], x[:t]) for t in range(12)]
  np.testing.assert_allclose(found.bonus, want, rtol=1e-4)
  cov = np.asarray(x, np.float64).T @ np.asarray(x) + RIDGE * np.eye(3)
  np.testing.assert_allclose(found.inverse, np.linalg.inv(cov), atol=1e-5)
  np.testing.assert_array_equal(found.inverse, found.inverse.T)


def test_the_bonuses_add_up_to_the_growth_of_the_volume():
  x = states(9, 4)
  found = novelty.sequence(x, RIDGE)
  _, volume = np.linalg.slogdet(np.asarray(found.inverse, np.float64))
  growth = -volume - 4 * np.log(RIDGE)
  np.testing.assert_allclose(np.log1p(found.bonus).sum(), growth, rtol=1e-5)


def test_a_state_met_n_times_before_is_worth_one_over_n_and_the_ridge():
  x = jnp.eye(3)[jnp.array([0, 0, 1, 0, 1, 2])]
  before = np.array([0, 1, 0, 2, 1, 0])
  bonus = novelty.sequence(x, RIDGE).bonus
  np.testing.assert_allclose(bonus, 1 / (RIDGE + before), rtol=1e-6)


def test_no_state_has_no_bonus_and_moves_nothing():
  x = states(3, 2)
  padded = jnp.concatenate([x[:1], jnp.zeros((2, 2)), x[1:]])
  found, want = novelty.sequence(padded, RIDGE), novelty.sequence(x, RIDGE)
  np.testing.assert_array_equal(found.bonus[1:3], [0, 0])
  np.testing.assert_array_equal(found.inverse, want.inverse)


def test_ten_thousand_states_leave_the_ellipsoid_in_its_place():
  x = states(10_000, 4)
  x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
  found = novelty.sequence(x, 0.1)
  cov = np.asarray(x, np.float64).T @ np.asarray(x) + 0.1 * np.eye(4)
  np.testing.assert_allclose(found.inverse, np.linalg.inv(cov), atol=1e-7)


def test_rotation_changes_no_bonus():
  x = states(8, 3)
  turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
  group = jnp.zeros(8, jnp.int32)
  for bonus in (
    lambda x: novelty.sequence(x, RIDGE).bonus,
    lambda x: novelty.leave_one_out(x, group, RIDGE),
  ):
    np.testing.assert_allclose(
      bonus(x @ jnp.asarray(turn, jnp.float32)), bonus(x), rtol=1e-4
    )


def test_left_out_is_each_row_against_all_others_of_its_group():
  x, group = states(7, 3), jnp.array([2, 0, 2, -1, 0, 2, 5])
  found = novelty.leave_one_out(x, group, RIDGE)
  rows = np.arange(7)
  want = [
    0.0 if g < 0 else against(x[i], x[(group == g) & (rows != i)])
    for i, g in enumerate(np.asarray(group))
  ]
  np.testing.assert_allclose(found, want, rtol=1e-4)


def test_left_out_is_the_leverage_over_the_rest_of_it():
  x, group = states(6, 4), jnp.zeros(6, jnp.int32)
  gram = np.asarray(x, np.float64) @ np.asarray(x, np.float64).T
  leverage = np.diag(gram @ np.linalg.inv(gram + RIDGE * np.eye(6)))
  np.testing.assert_allclose(
    novelty.leave_one_out(x, group, RIDGE),
    leverage / (1 - leverage),
    rtol=1e-4,
  )


def test_groups_in_any_order_are_sequences_of_their_own():
  x, group = states(7, 3), jnp.array([4, 1, 4, -1, 1, 4, 0])
  found = novelty.grouped(x, group, RIDGE)
  for number in (0, 1, 4):
    inside = group == number
    want = novelty.sequence(x[inside], RIDGE).bonus
    np.testing.assert_allclose(found[inside], want, rtol=1e-5)
  assert found[3] == 0


def test_a_row_with_the_key_and_group_of_another_is_counted_with_it():
  keys, group = jnp.array([5, 5, 5, 5, -1, 5]), jnp.array([0, 0, 1, 0, 0, -1])
  np.testing.assert_array_equal(counts.number(keys, group), [3, 3, 1, 3, 0, 0])
  np.testing.assert_array_equal(
    counts.number(keys, group, sequential=True), [1, 2, 1, 3, 0, 0]
  )


def test_a_table_remembers_keys_and_not_their_absence():
  table = counts.after(jnp.zeros(4, jnp.int32), jnp.array([2, 2, -1, 0]))
  np.testing.assert_array_equal(table, [1, 0, 2, 0])
  np.testing.assert_array_equal(
    counts.seen(table, jnp.array([-1, 2, 1])), [0, 2, 0]
  )


def test_the_error_of_a_perfect_prediction_has_no_slope():
  x = jnp.ones(3)
  assert novelty.error(x, x) == 0
  np.testing.assert_array_equal(jax.grad(novelty.error)(x, x), [0, 0, 0])
  assert novelty.error(x, 3 * x, squared=True) == 12


def test_the_random_network_stays_and_the_predictor_learns():
  distiller = novelty.Distiller(size=3, rate=0.03)
  state, x = distiller.init(), states(5, 3)
  mask = jnp.ones(5, bool)
  learn = jax.jit(lambda state, mask: distiller.learn(state, x, mask))
  errors = [distiller.error(state, x).mean()]
  for _ in range(100):
    state = learn(state, mask)
    errors.append(distiller.error(state, x).mean())
  assert errors[-1] < 0.3 * errors[0]
  idle = learn(state, jnp.zeros(5, bool))
  jax.tree.map(np.testing.assert_array_equal, idle, state)


@pytest.mark.parametrize("parts", [1, 3])
def test_running_moments_are_those_of_all_numbers_together(parts):
  x = np.random.default_rng(0).normal(3, 2, 12).astype(np.float32)
  moments = novelty.Moments.start()
  for part in np.split(x, parts):
    some = jnp.append(part, 99.0)
    mask = jnp.arange(len(some)) < len(part)
    moments = moments.after(some, mask)
  np.testing.assert_allclose(moments.mean, x.mean(), rtol=1e-5)
  np.testing.assert_allclose(moments.std, x.std(), rtol=1e-5)


def test_nothing_new_leaves_the_moments_as_they_are():
  moments = novelty.Moments.start()
  found = moments.after(jnp.ones(2), jnp.zeros(2, bool))
  assert found == moments and found.std == 0
