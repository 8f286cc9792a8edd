"""EMPO: rewards by the share of equal answers."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.empo import empo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.notes import ANSWER

pytestmark = pytest.mark.usefixtures("quick_compile")

# No bounds.
FREE = {"entropy_low": None, "entropy_high": None}


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


def rewards(method, *args, **kwargs):
  return np.asarray(prepared(method, *args, **kwargs).reward)


def test_three_of_four_have_their_known_rewards_and_advantages():
  found = prepared(
    transform.chain(empo(), grpo(epsilon=0.0)), [1, 1, 1, 0], [0.0, 0, 0, 1]
  )
  np.testing.assert_array_equal(found.reward, [0.75, 0.75, 0.75, 0.25])
  np.testing.assert_allclose(
    found.advantages[:, 0], [0.5, 0.5, 0.5, -1.5], rtol=1e-6
  )
  metrics = found.metrics
  entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
  np.testing.assert_allclose(
    metrics["empo/semantic_entropy"], entropy, rtol=1e-6
  )
  assert metrics["empo/majority_fraction"] == 0.75
  assert metrics["empo/label_accuracy"] == 0
  assert metrics["empo/reward_accuracy"] == 0
  assert metrics["empo/solved_fraction"] == 1


def test_a_row_without_an_answer_is_no_vote_for_what_is_right():
  found = prepared(empo(), [0, 1, -1, -1], [1.0, 0, 0, 0])
  # Both answers lead, of which one is wrong; no answer is wrong, and not paid.
  assert found.metrics["empo/reward_accuracy"] == 0.75
  assert found.metrics["empo/label_accuracy"] == 0.5


def test_the_mean_reward_is_the_chance_that_two_answers_agree():
  ids = [0, 0, 0, 3, 3, 5, -1, -1]
  found = rewards(empo(no_answer=None, **FREE), ids)
  # Shares 3/8, 2/8 and three of 1/8.
  assert found.mean() == (9 + 4 + 3) / 64


@pytest.mark.parametrize("options", [{}, FREE, FREE | {"no_answer": None}])
def test_one_answer_all_different_and_equal_shares_teach_nothing(options):
  answers = [2, 2, 2, 2, 0, 1, 2, 3, 0, 0, 1, 1, -1, -1, -1, -1]
  method = transform.chain(empo(**options), grpo())
  found = prepared(method, answers, group=np.repeat(range(4), 4))
  live = np.asarray(found.group) >= 0
  assert not np.asarray(found.advantages)[live].any()


def test_groups_at_the_ends_of_the_entropy_are_taken_out():
  answers = [1, 1, 1, 0, 1, 2, 0, 0, 1]
  group = [0, 0, 0, 1, 1, 1, 2, 2, 2]
  found = prepared(empo(), answers, [1.0] * 9, group)
  np.testing.assert_array_equal(found.group, [-1] * 6 + [2] * 3)
  np.testing.assert_array_equal(found.mask[:, 0], [False] * 6 + [True] * 3)
  np.testing.assert_allclose(found.metrics["empo/kept_fraction"], 1 / 3, 1e-6)
  zero = prepared(empo(outside="zero"), answers, [1.0] * 9, group)
  np.testing.assert_array_equal(zero.group, group)
  assert np.asarray(zero.mask).all()
  np.testing.assert_allclose(
    zero.reward, [0] * 6 + [2 / 3, 2 / 3, 1 / 3], rtol=1e-6
  )


def test_all_different_answers_are_out_for_every_size_of_group():
  sizes = (2, 3, 5, 7, 11, 13, 100)
  answers = np.concatenate([np.arange(size) for size in sizes])
  group = np.repeat(range(len(sizes)), sizes)
  found = prepared(empo(entropy_low=None), answers, group=group)
  assert found.metrics["empo/kept_fraction"] == 0


def test_a_bound_between_the_ends_divides_groups():
  answers = [0, 0, 0, 1, 0, 0, 1, 2]  # H / log 4 of 0.41 and 0.75
  group = [0] * 4 + [1] * 4
  sure = prepared(empo(entropy_high=0.5), answers, group=group)
  np.testing.assert_array_equal(sure.mask[:, 0], [1] * 4 + [0] * 4)
  unsure = prepared(empo(entropy_low=0.5), answers, group=group)
  np.testing.assert_array_equal(unsure.mask[:, 0], [0] * 4 + [1] * 4)


def test_the_confidence_is_the_largest_share_and_its_bounds_are_inside():
  answers, group = [0, 1, 2, 3, 0, 0, 1, 2], [0] * 4 + [1] * 4
  low = prepared(empo(confidence_low=0.5, **FREE), answers, group=group)
  np.testing.assert_array_equal(low.mask[:, 0], [0] * 4 + [1] * 4)
  high = prepared(empo(confidence_high=0.25, **FREE), answers, group=group)
  np.testing.assert_array_equal(high.mask[:, 0], [1] * 4 + [0] * 4)


def test_no_answer_earns_what_it_is_given_or_as_an_answer_of_its_own():
  answers = [0, 0, -1, -1]
  np.testing.assert_array_equal(rewards(empo(), answers), [0.5, 0.5, 0, 0])
  own = rewards(empo(no_answer=None), answers)
  np.testing.assert_array_equal(own, [0.5, 0.5, 0.25, 0.25])
  fined = rewards(empo(no_answer=-0.5), answers)
  np.testing.assert_array_equal(fined, [0.5, 0.5, -0.5, -0.5])


def test_the_majority_shares_its_reward_with_those_that_tie():
  method = empo("majority", **FREE)
  np.testing.assert_array_equal(rewards(method, [1, 0, 0, 1, 2]), [1] * 4 + [0])
  alone = rewards(method, [1, 0, 0, 3, 2])
  np.testing.assert_array_equal(alone, [0, 1, 1, 0, 0])


def test_rewards_follow_the_rows_and_not_the_numbers():
  answers, order = np.array([4, 4, 0, 2, 2, 2]), np.array([3, 0, 5, 2, 1, 4])
  renamed = np.array([1, 0, 9, 0, 0])[answers]
  want = rewards(empo(), answers)
  np.testing.assert_array_equal(rewards(empo(), renamed), want)
  np.testing.assert_array_equal(rewards(empo(), answers[order]), want[order])


def test_all_vote_and_the_first_rows_train():
  method = transform.chain(empo(train=2), dr_grpo())
  found = prepared(method, [1, 0, 0, 0], [0.0, 1, 1, 1])
  np.testing.assert_array_equal(found.group, [0, 0, -1, -1])
  np.testing.assert_array_equal(found.mask[:, 0], [1, 1, 0, 0])
  np.testing.assert_allclose(found.advantages[:2, 0], [-0.25, 0.25])


def test_rows_without_a_group_keep_their_reward_and_mask():
  batch = common.batch(
    np.zeros((5, 1)),
    None,
    np.ones((5, 1)),
    reward=[0.0, 0, 0, 5, 5],
    notes={ANSWER.key: np.array([1, 1, 2, 2, 2])},
  ).replace(group=np.array([0, 0, 0, -1, -1]))
  found = jax.jit(lambda b: common.prepared(empo(train=1), b))(batch)
  np.testing.assert_allclose(np.asarray(found.reward)[[0, 3, 4]], [2 / 3, 5, 5])
  np.testing.assert_array_equal(found.mask[:, 0], [1, 0, 0, 1, 1])


@pytest.mark.parametrize(
  "wrong",
  [
    {"reward": "vote"},
    {"outside": "resample"},
    {"entropy_low": -0.1},
    {"entropy_high": 1.5},
    {"confidence_low": float("nan")},
    {"train": 0},
  ],
)
def test_a_value_out_of_range_is_refused(wrong):
  with pytest.raises(ValueError, match=rf"empo\.{next(iter(wrong))} = "):
    empo(**wrong)
