"""How the best policy follows the reward: cliffs, slopes, parts of a reward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr_jax.analysis import finite_mdp, policy_cliff, reward_parts
from rlvr_jax.analysis.policy_cliff import soft_policy, total_variation

GAMMA = 0.9
seeds = st.integers(0, 2**31)
alphas = st.floats(0.01, 10)


def entropy(p):
  return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


def random_mdp(seed, states=4, actions=3):
  dice = np.random.default_rng(seed)
  transitions = dice.dirichlet(np.ones(states), size=(states, actions))
  return dice.normal(size=(states, actions)), transitions


def test_equal_rewards_are_counted_and_the_gap_is_to_the_next():
  rewards = np.array([[1, 1 - 1e-9, 0.25, 0], [2, 1, 1, 1], [3, 3, 3, 3]])
  found = policy_cliff.degeneracy(rewards)
  np.testing.assert_array_equal(found.best, [2, 1, 4])
  np.testing.assert_allclose(found.entropy, np.log([2, 1, 4]))
  np.testing.assert_allclose(found.gap, [0.75, 1, np.inf])
  flat = policy_cliff.flat_policy(rewards)
  np.testing.assert_allclose(entropy(flat), found.entropy)


@pytest.mark.parametrize("best", [1, 2, 5])
def test_the_cliff_is_the_distance_from_all_of_the_best_to_one(best):
  rewards = np.append(np.ones(best), 0.0)
  one = np.eye(best + 1)[0]
  apart = total_variation(policy_cliff.flat_policy(rewards), one)
  assert policy_cliff.cliff(rewards) == pytest.approx((best - 1) / best)
  assert apart == pytest.approx((best - 1) / best)
  # An arbitrarily small reward gets there.
  moved = policy_cliff.displacement(rewards, one, [1e-300, 1e-12], 0)
  np.testing.assert_allclose(moved[1], (best - 1) / best)


@given(seeds, alphas)
def test_no_reward_moves_a_soft_policy_further_than_the_bound(seed, alpha):
  dice = np.random.default_rng(seed)
  rewards = dice.normal(size=(2, 5)) * dice.choice([0, 0.1, 1, 10])
  bound = policy_cliff.lipschitz_bound(alpha)
  local = policy_cliff.local_lipschitz(rewards, alpha)
  assert (local <= bound * (1 + 1e-12)).all()
  far = policy_cliff.empirical_lipschitz(rewards, alpha, seed)
  assert (far <= bound * (1 + 1e-6)).all()
  change = dice.normal(size=5)
  policies = (
    soft_policy(rewards[0] + change, alpha),
    soft_policy(rewards[0], alpha),
  )
  assert total_variation(*policies) <= bound * np.abs(change).max() + 1e-12


@given(seeds)
def test_the_local_slope_is_that_of_the_worst_signs(seed):
  dice = np.random.default_rng(seed)
  rewards, alpha = dice.normal(size=4), 0.5
  p = soft_policy(rewards, alpha)
  signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
  apart = np.abs(signs - (p * signs).sum(axis=1, keepdims=True))
  worst = (p * apart).sum(axis=1).max() / (2 * alpha)
  assert policy_cliff.local_lipschitz(rewards, alpha) == pytest.approx(worst)
  # All 16 signs come up in 400 draws; what is left is curvature.
  found = policy_cliff.empirical_lipschitz(rewards, alpha, 0, 1e-6, 400)
  assert found == pytest.approx(worst, rel=1e-4)


def test_two_equal_actions_reach_the_bound_and_follow_the_tanh():
  alpha, sizes = 0.1, np.array([1e-6, 0.05, 0.3])
  moved = policy_cliff.displacement([0, 0], [0.5, -0.5], sizes, alpha)
  np.testing.assert_allclose(moved, np.tanh(sizes / (2 * alpha)) / 2)
  assert moved[0] == pytest.approx(1e-6 / (4 * alpha))
  found = policy_cliff.local_lipschitz([0, 0], alpha)
  assert found == pytest.approx(policy_cliff.lipschitz_bound(alpha))


def test_the_soft_policy_tends_to_the_flat_one_and_to_the_reference():
  rewards = np.array([1.0, 1.0, 0.9, -2.0])
  cold = soft_policy(rewards, 1e-4)
  np.testing.assert_allclose(cold, [0.5, 0.5, 0, 0], atol=1e-12)
  assert entropy(cold) == pytest.approx(np.log(2))
  ref = np.log([0.1, 0.2, 0.3, 0.4])
  np.testing.assert_allclose(soft_policy(rewards, 1e9), 0.25, rtol=1e-8)
  hot = soft_policy(rewards, 1e9, ref)
  np.testing.assert_allclose(hot, np.exp(ref), rtol=1e-8)
  # What all actions earn moves nothing.
  np.testing.assert_allclose(
    soft_policy(rewards + 7, 0.3), soft_policy(rewards, 0.3)
  )


def test_the_bound_grows_with_the_decisions_that_are_left():
  bound = policy_cliff.lipschitz_bound
  assert bound(0.5) == 1
  assert bound(0.5, GAMMA) == pytest.approx(1 / (1 - GAMMA))
  assert bound(0.5, 1, 7) == 7
  assert bound(0.5, GAMMA, 2) == pytest.approx(1 + GAMMA)
  assert bound(0.5, GAMMA, 10_000) == pytest.approx(bound(0.5, GAMMA))


@pytest.mark.parametrize(
  ("call", "told"),
  [
    (lambda: soft_policy([1.0], 0), "`alpha` = 0 must be > 0"),
    (lambda: policy_cliff.lipschitz_bound(1, 1), "number of decisions left"),
    (lambda: policy_cliff.lipschitz_bound(1, 0.5, 0), "`steps` = 0"),
    (lambda: policy_cliff.local_lipschitz(np.zeros(21), 1), "21 actions"),
    (lambda: finite_mdp.values([[0.0]], [[[1.0]]], 1), "`steps`"),
    (lambda: finite_mdp.values([[0.0]], [[[0.5]]], 0.5), "add up to 1"),
    (lambda: reward_parts.effective_reward([1, 1], np.zeros((2, 3))), "sum"),
    (lambda: reward_parts.slacker_score(np.zeros(3), np.zeros(3)), "groups"),
  ],
)
def test_what_is_out_of_range_is_refused(call, told):
  with pytest.raises(ValueError, match=told):
    call()


# Several decisions.


def test_a_chain_of_two_states_has_the_values_one_adds_up_by_hand():
  # Staying in 0 pays 1, going to 1 pays 0; in 1 everything pays 3 for ever.
  rewards = np.array([[1.0, 0.0], [3.0, 3.0]])
  transitions = np.zeros((2, 2, 2))
  transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 1] = 1
  found = finite_mdp.values(rewards, transitions, 0.5)
  np.testing.assert_allclose(found, [[2.5, 3], [6, 6]], rtol=1e-11)
  three = finite_mdp.values(rewards, transitions, 1, steps=3)
  np.testing.assert_allclose(three, [[4, 6], [9, 9]])
  soft = finite_mdp.values(rewards, transitions, 0.5, alpha=0.2)
  held = 0.2 * np.logaddexp(*(soft / 0.2).T)
  np.testing.assert_allclose(soft, rewards + 0.5 * transitions @ held)
  np.testing.assert_allclose(
    finite_mdp.values(rewards, transitions, 0.5, 1e-9), found, atol=1e-8
  )


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_values_move_by_the_reward_over_one_less_the_discount(seed, alpha):
  (first, transitions), (change, _) = random_mdp(seed), random_mdp(seed + 100)
  values = lambda r, **how: finite_mdp.values(
    r, transitions, alpha=alpha, **how
  )
  moved = lambda **how: np.abs(
    values(first + change, **how) - values(first, **how)
  ).max()
  most = np.abs(change).max()
  assert moved(gamma=GAMMA) <= most / (1 - GAMMA) + 1e-9
  assert moved(gamma=1, steps=5) <= 5 * most + 1e-9
  # The same change everywhere reaches it.
  change = np.ones_like(first)
  assert moved(gamma=GAMMA) == pytest.approx(1 / (1 - GAMMA))


@pytest.mark.parametrize("seed", range(3))
def test_policies_of_all_states_keep_to_the_bound(seed):
  (first, transitions), (change, _) = random_mdp(seed), random_mdp(seed + 100)
  most, alpha = np.abs(change).max(), 0.5

  def apart(**how):
    values = [
      finite_mdp.values(r, transitions, alpha=alpha, **how)
      for r in (first, first + change)
    ]
    return total_variation(*(soft_policy(q, alpha) for q in values)).max()

  bound = policy_cliff.lipschitz_bound
  assert 0 < apart(gamma=GAMMA) <= most * bound(alpha, GAMMA)
  assert 0 < apart(gamma=1, steps=3) <= most * bound(alpha, 1, 3)


@pytest.mark.parametrize("size", [1e-1, 1e-6])
def test_a_small_bonus_makes_one_of_several_best_actions_the_only_one(size):
  rewards, transitions = random_mdp(0)
  # In state 1 the first two actions are the same, and best.
  transitions[1, 1] = transitions[1, 0]
  rewards[1, :2] = 5
  values = finite_mdp.values(rewards, transitions, GAMMA)
  before = policy_cliff.flat_policy(values[1], 1e-9)
  np.testing.assert_allclose(before, [0.5, 0.5, 0])
  changed = finite_mdp.with_bonus(rewards, transitions, GAMMA, 1, 1, size)
  assert np.abs(changed - rewards).max() <= size * (1 + GAMMA) + 1e-10
  after = finite_mdp.values(changed, transitions, GAMMA)
  after = policy_cliff.flat_policy(after[1], size / 2)
  np.testing.assert_array_equal(after, [0, 1, 0])
  assert total_variation(before, after) == pytest.approx(
    policy_cliff.cliff(values[1], 1e-9)
  )


# Rewards of several parts.


@given(seeds)
def test_a_mixture_moves_no_further_than_its_parts(seed):
  dice = np.random.default_rng(seed)
  weights = dice.dirichlet(np.ones(3), size=4)
  first, second = dice.normal(size=(2, 3, 4, 5))
  found = [reward_parts.effective_reward(weights, x) for x in (first, second)]
  assert np.abs(found[0] - found[1]).max() <= np.abs(first - second).max()
  by_hand = sum(weights[:, k, None] * first[k] for k in range(3))
  np.testing.assert_allclose(found[0], by_hand)


def test_the_weights_at_which_actions_change_places_are_found():
  # Right or wrong, and short or long: 0.8 (1 - 0) = 0.2 w stands at 4 of 1.
  rewards = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.5]])
  found = reward_parts.switch_points(rewards, [1, 0], [0, 1])
  assert found[0, 1] == found[1, 0] == pytest.approx(0.5)
  assert found[0, 2] == 0  # equal at the start: the smallest weight decides
  assert found[1, 2] == pytest.approx(2 / 3)
  assert np.isnan(np.diag(found)).all()
  at = lambda x: reward_parts.effective_reward([1 - x, x], rewards)
  np.testing.assert_allclose(at(2 / 3)[1], at(2 / 3)[2])
  assert at(0.6)[1] < at(0.6)[2] and at(0.7)[1] > at(0.7)[2]
  far = reward_parts.switch_points(rewards, [1, 0], [0.9, 0.1])
  assert np.isnan(far[0, 1])


@pytest.mark.parametrize("coef", [1.0, 1e-3])
def test_a_small_bonus_is_blown_up_where_all_are_equally_right(coef):
  main = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], float)
  length = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [5, 5, 5, 5]], float)
  found = reward_parts.tie_breaks(main, coef * length)
  np.testing.assert_array_equal(found.decided, [True, False, False])
  assert found.share == pytest.approx(1 / 3)
  assert found.spread[0] == pytest.approx(1)  # however small it is
  assert found.spread[2] == 0
  if coef == 1e-3:
    assert found.spread[1] == pytest.approx(
      coef * length[1].std() / main[1].std(), rel=0.01
    )


def test_a_slacker_loses_what_the_missing_part_would_have_chosen():
  train = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
  missing = np.array([[0.0, 4.0, 100.0], [9.0, 1.0, 2.0]])
  # 4 - 2 among the two best of the first group; the second has but one.
  assert reward_parts.slacker_score(train, missing) == pytest.approx(1)
  assert reward_parts.slacker_score(train, np.full((2, 3), 7.0)) == 0
  dice = np.random.default_rng(0)
  train, missing = dice.integers(0, 2, (9, 4)), dice.normal(size=(9, 4))
  assert reward_parts.slacker_score(train, missing) >= 0
