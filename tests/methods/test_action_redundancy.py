"""The bonus for rare answers."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.action_redundancy import action_redundancy
from rlvr_jax.notes import ANSWER

pytestmark = pytest.mark.usefixtures("quick_compile")

WRONG = np.zeros(8)


def prepared(answers, reward=WRONG, group=None, **given):
  count = len(answers)
  rollout = common.batch(
    np.zeros((count, 1)),
    None,
    np.ones((count, 1)),
    reward=np.asarray(reward)[:count],
    group=group,
    notes={ANSWER.key: np.int32(answers)},
  )
  return common.prepared(action_redundancy(**given), rollout)


def bonus(answers, reward=WRONG, **given):
  found = prepared(answers, reward, coef=1.0, **given).reward
  return np.asarray(found) - np.asarray(reward)[: len(answers)]


def centred(x):
  return np.asarray(x) - np.mean(x)


def test_the_plug_in_bonus_is_the_surprise_of_the_answer():
  found = bonus([3, 3, 3, 5], estimator="plug_in")
  chances = np.array([3, 3, 3, 1]) / 4
  np.testing.assert_allclose(found, centred(-np.log(chances)), rtol=1e-5)


def test_left_out_of_its_own_count_an_answer_is_smoothed():
  # Two answers: (n - 1 + s) / (G - 1 + 2 s).
  for smoothing in (1.0, 0.5):
    found = bonus([3, 3, 3, 5], smoothing=smoothing)
    n = np.array([3, 3, 3, 1])
    chances = (n - 1 + smoothing) / (3 + 2 * smoothing)
    np.testing.assert_allclose(found, centred(-np.log(chances)), rtol=1e-5)


@pytest.mark.parametrize("estimator", ["leave_one_out", "plug_in"])
def test_answers_all_alike_or_all_different_earn_nothing(estimator):
  for answers in ([2, 2, 2, 2], [1, 2, 3, 4]):
    found = bonus(answers, estimator=estimator)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_the_figures_are_the_entropy_of_the_answers_and_its_complement():
  found = prepared([3, 3, 3, 5]).metrics
  name = "action_redundancy/"
  entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
  np.testing.assert_allclose(found[name + "answer_entropy"], entropy, rtol=1e-5)
  np.testing.assert_allclose(
    found[name + "redundancy"], np.log(4) - entropy, rtol=1e-5
  )
  alike = prepared([2, 2, 2, 2]).metrics
  assert alike[name + "answer_entropy"] == 0
  different = prepared([1, 2, 3, 4]).metrics[name + "answer_entropy"]
  np.testing.assert_allclose(different, np.log(4), rtol=1e-6)


def test_no_answer_is_an_answer_of_its_own():
  np.testing.assert_array_equal(bonus([-1, -1, -1, 5]), bonus([3, 3, 3, 5]))


def test_groups_are_counted_apart_and_may_be_of_different_size():
  answers, group = [3, 5, 3, 3, 3, 5], [0, 0, 0, 1, 1, 1]
  together = bonus(answers, group=group)
  np.testing.assert_array_equal(together[:3], bonus([3, 5, 3]))
  np.testing.assert_array_equal(together[3:], bonus([3, 3, 5]))
  ragged = bonus([3, 3, 5, 3], group=[0, 0, 0, 1])
  np.testing.assert_array_equal(ragged, np.append(bonus([3, 3, 5]), 0.0))


def test_the_gate_opens_for_groups_of_which_less_than_half_are_right():
  answers = [3, 3, 5, 7]
  assert bonus(answers, [0, 0, 1, 0]).any()
  for reward in ([0, 0, 1, 1], [1, 1, 1, 0]):
    assert not bonus(answers, reward).any()
    everywhere = bonus(answers, reward, gate="all")
    np.testing.assert_allclose(everywhere, bonus(answers), atol=1e-6)


def test_the_gate_for_errors_leaves_right_responses_alone():
  # Three errors, two alike: p = 2 / 4, 2 / 4, 1 / 4 by the plug-in rule.
  found = bonus([9, 3, 3, 5], [1, 0, 0, 0], gate="wrong", estimator="plug_in")
  expected = centred([np.log(2), np.log(2), np.log(4)])
  np.testing.assert_allclose(found, [0, *expected], rtol=1e-5, atol=1e-6)
  metrics = prepared([9, 3, 3, 5], [1, 0, 0, 0], gate="wrong").metrics
  assert metrics["action_redundancy/gated_fraction"] == 0.75


def test_rows_without_a_group_keep_their_reward():
  rollout = common.batch(
    np.zeros((4, 1)),
    None,
    np.ones((4, 1)),
    reward=[0, 0, 0, 7],
    notes={ANSWER.key: np.int32([3, 3, 5, 3])},
  )
  rollout = rollout.replace(group=rollout.group.at[3].set(-1))
  found = common.prepared(action_redundancy(coef=1.0), rollout).reward
  np.testing.assert_array_equal(found, [*bonus([3, 3, 5]), 7.0])


@pytest.mark.parametrize(
  "wrong",
  [
    {"gate": "right"},
    {"estimator": "exact"},
    {"coef": -1.0},
    {"smoothing": 0.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"action_redundancy\.{name} = {value!r} must"
  ):
    action_redundancy(**wrong)
