"""TTRL: rewards by majority vote."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.ttrl import ttrl
from rlvr_jax.notes import ANSWER

pytestmark = pytest.mark.usefixtures("quick_compile")


def prepared(method, answers, reward=None, group=None):
  rows = len(answers)
  batch = common.batch(
    np.zeros((rows, 1)),
    np.full((rows, 1), 9.0),
    np.ones((rows, 1)),
    reward=reward,
    group=group,
    notes={ANSWER.key: np.array(answers)},
  )
  return jax.jit(lambda b: common.prepared(method, b))(batch)


def rewards(*args, **kwargs):
  return np.asarray(prepared(ttrl(), *args, **kwargs).reward)


def test_agreement_with_the_most_frequent_answer_is_rewarded():
  found = prepared(ttrl(), [4, 2, 2, -1, -1, -1, 2, 4], [1.0] + [0.0] * 7)
  np.testing.assert_array_equal(found.reward, [0, 1, 1, 0, 0, 0, 1, 0])
  assert found.metrics["ttrl/majority_fraction"] == 3 / 8
  assert found.metrics["ttrl/label_accuracy"] == 0
  assert found.metrics["ttrl/solved_fraction"] == 1
  # Four verdicts are wrong: the right row, and three that agree.
  assert found.metrics["ttrl/reward_accuracy"] == 0.5


def test_of_tied_answers_the_first_seen_wins():
  np.testing.assert_array_equal(rewards([3, 1, 1, 3]), [1, 0, 0, 1])
  np.testing.assert_array_equal(rewards([-1, 1, 3, 3, 1]), [0, 1, 0, 0, 1])


def test_without_answers_all_rewards_and_metrics_are_zero():
  found = prepared(ttrl(), [-1, -1, -1, -1], [0.0] * 4)
  assert not np.asarray(found.reward).any()
  assert all(value == 0 for value in found.metrics.values())


def test_groups_vote_by_themselves_and_weigh_the_same():
  # Numbers of two groups have nothing to do with each other.
  found = prepared(
    ttrl(), [0, 0, 0, 1, 0, 5], [1.0, 1.0, 1.0, 0, 0, 1.0], [0, 0, 0, 0, 1, 1]
  )
  np.testing.assert_array_equal(found.reward, [1, 1, 1, 0, 1, 0])
  metrics = found.metrics
  assert metrics["ttrl/majority_fraction"] == (3 / 4 + 1 / 2) / 2
  assert metrics["ttrl/label_accuracy"] == 0.5
  assert metrics["ttrl/reward_accuracy"] == 0.5
  assert metrics["ttrl/right_fraction"] == (3 / 4 + 1 / 2) / 2


def test_a_unanimous_group_teaches_nothing():
  method = transform.chain(ttrl(), grpo())
  found = prepared(method, [6, 6, 6, 6], [0.0, 0.0, 0.0, 1.0])
  assert not np.asarray(found.advantages).any()


def test_the_true_reward_does_not_train():
  answers = [1, 1, 2, 3]
  right, wrong = rewards(answers, [1.0] * 4), rewards(answers, [0.0] * 4)
  np.testing.assert_array_equal(right, wrong)


def test_all_vote_and_the_first_rows_train():
  method = transform.chain(ttrl(train=2), grpo())
  found = prepared(
    method, [1, 0, 0, 7, 7, 7], [0.0, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]
  )
  np.testing.assert_array_equal(found.group, [0, 0, -1, 1, 1, -1])
  np.testing.assert_array_equal(found.mask[:, 0], [1, 1, 0, 1, 1, 0])
  # Of rewards 0 and 1 among the two that train.
  half = 0.5 / (np.sqrt(0.5) + 1e-6)
  np.testing.assert_allclose(
    found.advantages[:, 0], [-half, half, 0, 0, 0, 0], rtol=1e-5
  )
  metrics = found.metrics
  np.testing.assert_allclose(metrics["ttrl/majority_fraction"], 5 / 6)
  assert metrics["ttrl/trained_majority_fraction"] == 0.75
  assert metrics["ttrl/trained_right_fraction"] == 0.75


def test_rows_without_a_group_neither_vote_nor_lose_their_reward():
  batch = common.batch(
    np.zeros((3, 1)),
    None,
    np.ones((3, 1)),
    reward=[0.0, 5.0, 5.0],
    notes={ANSWER.key: np.array([1, 2, 2])},
  ).replace(group=np.array([0, -1, -1]))
  found = jax.jit(lambda b: common.prepared(ttrl(train=1), b))(batch)
  np.testing.assert_array_equal(found.reward, [1, 5, 5])
  np.testing.assert_array_equal(found.mask[:, 0], [True] * 3)


def test_no_rows_to_train_are_refused():
  with pytest.raises(ValueError, match=r"ttrl\.train = 0"):
    ttrl(train=0)
