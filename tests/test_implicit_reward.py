"""Rewards that are log-ratios: their losses, and choosing by them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import implicit_reward as ir

pytestmark = pytest.mark.usefixtures("quick_compile")

ZEROS = jnp.zeros(3)
CHOSEN, REJECTED = jnp.array([1.0, -0.5]), jnp.array([0.2, 0.7])


def responses(reward, label, group=None):
  rows = len(reward)
  group = np.zeros(rows, np.int32) if group is None else group
  return ir.Responses(
    jnp.asarray(reward),
    jnp.asarray(label, jnp.float32),
    jnp.asarray(group),
    jnp.ones(rows, bool),
  )


def test_dpo_begins_at_log_2_and_pulls_both_sides_alike():
  np.testing.assert_allclose(ir.dpo(ZEROS, ZEROS), np.log(2), rtol=1e-6)
  up, down = jax.grad(ir.dpo, argnums=(0, 1))(CHOSEN, REJECTED)
  np.testing.assert_array_equal(up, -down)
  assert (up < 0).all()


def test_cross_entropy_is_least_where_the_reward_is_the_logit_of_the_label():
  label = jnp.array([0.2, 0.5, 0.9])
  logit = jnp.log(label / (1 - label))
  of = lambda r: ir.cross_entropy(responses(r, label))
  np.testing.assert_allclose(jax.grad(of)(logit), 0, atol=1e-7)
  assert of(logit + 0.1) > of(logit) < of(logit - 0.1)


def test_nca_of_pairs_is_that_of_groups_with_sure_labels():
  both = jnp.stack([CHOSEN, REJECTED], axis=1).reshape(-1)
  rows = responses(both, [1, 0, 1, 0], np.array([0, 0, 1, 1]))
  found = ir.nca(rows, alpha=0.01)
  np.testing.assert_allclose(found, ir.nca_pairs(CHOSEN, REJECTED), rtol=1e-6)


def test_kto_without_partners_is_that_of_pairs_against_a_fixed_baseline():
  rows = responses(jnp.concatenate([CHOSEN, REJECTED]), [1, 1, 0, 0])
  # Both sides of these pairs have a baseline of their own, so take equal ones.
  level = jnp.float32(0.25)
  shifted = CHOSEN - CHOSEN.mean() + level, REJECTED - REJECTED.mean() + level
  rows = rows._replace(reward=jnp.concatenate(shifted))
  np.testing.assert_allclose(
    ir.kto(rows, level), ir.kto_pairs(*shifted), rtol=1e-6
  )


def test_the_baseline_of_kto_is_never_negative_and_carries_no_gradient():
  counted = jnp.ones(2, bool)
  assert ir.kto_baseline(-CHOSEN, counted) == 0
  assert ir.kto_baseline(CHOSEN, counted) == 0.25
  slope = jax.grad(lambda r: ir.kto_baseline(r, counted))(CHOSEN)
  assert not slope.any()


@pytest.mark.parametrize("name", ir.ONLINE)
def test_every_loss_pulls_right_answers_up_and_wrong_ones_down(name):
  rows = responses([0.1, -0.2, 0.3, 0.0], [1, 0, 1, 0])
  of = lambda r: ir.ONLINE[name](rows._replace(reward=r))
  slope = jax.grad(of)(rows.reward)
  assert (slope[::2] < 0).all() and (slope[1::2] > 0).all()


@pytest.mark.parametrize("name", ir.ONLINE)
def test_responses_that_do_not_count_change_no_loss(name):
  rows = responses([0.1, -0.2, 0.3, 5.0], [1, 0, 1, 0])
  few = rows._replace(counted=jnp.array([True, True, True, False]))
  other = few._replace(
    reward=rows.reward.at[3].set(-9.0), label=rows.label.at[3].set(1.0)
  )
  of = ir.ONLINE[name]
  np.testing.assert_array_equal(of(few), of(other))
  none = rows._replace(counted=jnp.zeros(4, bool))
  assert of(none) == 0


MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]) > 0
ENDS = np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]) > 0
Q = np.float32([[1, 2, 4, 8, 16], [-1, 2, -5, 9, 9], [9, 9, 9, 9, 9]])


def test_step_rewards_stand_at_the_ends_and_add_up_to_the_reward():
  found = np.asarray(ir.step_rewards(Q, ENDS, MASK, 0.5))
  want = [[0, 1.5, 0, 6, 8], [-0.5, 0, -1.5, 0, 0], [0, 0, 0, 0, 0]]
  np.testing.assert_array_equal(found, want)
  total = 0.5 * np.where(MASK, Q, 0).sum(axis=1)
  np.testing.assert_array_equal(found.sum(axis=1), total)
  summed = ir.step_rewards(Q, ENDS, MASK, 0.5, mode="accumulative")
  want = [[0, 1.5, 0, 7.5, 15.5], [-0.5, 0, -2, 0, 0], [0, 0, 0, 0, 0]]
  np.testing.assert_array_equal(summed, want)


def test_a_response_is_as_good_as_its_worst_step_or_as_their_sum():
  rewards = ir.step_rewards(Q, ENDS, MASK, 0.5)
  worst = ir.response_score(rewards, ENDS, MASK)
  np.testing.assert_array_equal(worst, [1.5, -1.5, 0])
  whole = ir.response_score(rewards, ENDS, MASK, how="sum")
  np.testing.assert_array_equal(whole, [15.5, -2, 0])


def test_the_first_step_below_the_threshold_is_the_error():
  rewards = ir.step_rewards(Q, ENDS, MASK, 0.5)
  found = ir.first_error(rewards, ENDS, MASK, threshold=0.3)
  # sigmoid(-0.5) = 0.38 and sigmoid(-1.5) = 0.18
  np.testing.assert_array_equal(found, [-1, 1, -1])
  found = ir.first_error(rewards, ENDS, MASK, threshold=0.5)
  np.testing.assert_array_equal(found, [-1, 0, -1])


def test_the_best_of_a_group_is_the_first_of_the_highest():
  score = jnp.array([0.5, 2.0, 2.0, -3.0, -4.0, 9.0])
  group = jnp.array([0, 0, 0, 1, 1, -1])
  np.testing.assert_array_equal(
    ir.best(score, group), [False, True, False, True, False, False]
  )


def test_an_answer_gets_the_votes_of_all_who_gave_it():
  score = jnp.array([0.0, 0.0, 100.0, -100.0])
  found = ir.votes(score, jnp.array([3, 3, 1, -1]), jnp.zeros(4, jnp.int32))
  np.testing.assert_allclose(found, [1, 1, 1, 0], atol=1e-6)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: ir.step_rewards(Q, ENDS, MASK, 1.0, mode="mean"), "mode = 'mean'"),
    (lambda: ir.response_score(Q, ENDS, MASK, how="max"), "how = 'max' must"),
  ],
)
def test_an_unknown_choice_is_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_outcomes_of_a_group_add_up_to_nothing():
  mask = jnp.ones((5, 2), bool)
  group = jnp.array([0, 0, 0, 1, 1])
  reward = jnp.array([1.0, 0.0, 0.0, 1.0, 1.0])
  found = np.asarray(ir.outcome_term(reward, mask, group))
  np.testing.assert_allclose(found[:, 1], [1, -0.5, -0.5, 0, 0], atol=1e-7)
  assert not found[:, 0].any()


def test_a_group_of_one_keeps_its_outcome_and_its_scores():
  mask, group = jnp.ones((1, 2), bool), jnp.zeros(1, jnp.int32)
  score = jnp.array([[0.25, -1.0]])
  np.testing.assert_array_equal(ir.process_term(score, mask, group), score)
  np.testing.assert_array_equal(
    ir.outcome_term(jnp.ones(1), mask, group), [[0, 1]]
  )


def test_smoothing_adds_what_later_tokens_score():
  q, mask = jnp.array([[1.0, 2.0, 4.0]]), jnp.ones((1, 3), bool)
  found = ir.token_scores(q, mask, smoothing=0.5)
  np.testing.assert_array_equal(found, [[3, 4, 4]])
  found = ir.token_scores(q, mask, exclude_last=True)
  np.testing.assert_array_equal(found, [[1, 2, 0]])


def test_responses_that_cannot_be_told_apart_are_ordered_by_chance():
  group = jnp.array([0, 0, 1, 1])
  reward = jnp.array([1.0, 0.0, 1.0, 1.0])
  assert ir.pair_accuracy(jnp.zeros(4), reward, group) == 0.5
  sure = ir.pair_accuracy(jnp.array([1.0, 0.0, 3.0, 4.0]), reward, group)
  assert sure == 0.75
