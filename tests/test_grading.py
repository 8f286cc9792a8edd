"""Grading: strict grading of arithmetic; right, wrong and unknown."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from rlvr_jax import tasks
from rlvr_jax.tasks import CharTokenizer, Problem, Task, arithmetic, each

fixed = hypothesis.settings(
  derandomize=True, max_examples=50, deadline=None, database=None
)
SPLIT = Problem("73=", "", (), 0)
SUM = Problem("417+88=", "505", ("505",), 0)


def task(grade, extract=lambda problem, text: text or None):
  return Task("toy", [], [], CharTokenizer("0"), each(grade), extract, 1, 1)


split = task(arithmetic.grade_split, arithmetic.extract_split)
total = task(arithmetic.grade_sum, arithmetic.extract_sum)


@fixed
@hypothesis.given(a=st.integers(1, 72))
def test_every_pair_that_adds_up_is_right(a):
  assert arithmetic.grade_split(SPLIT, f"{a}+{73 - a}") == 1


@fixed
@hypothesis.given(a=st.integers(1, 200), b=st.integers(1, 200))
def test_a_split_is_right_exactly_when_it_adds_up(a, b):
  assert arithmetic.grade_split(SPLIT, f"{a}+{b}") == float(a + b == 73)


@fixed
@hypothesis.given(text=st.text("0123456789+= ", max_size=8))
def test_texts_of_the_alphabet_are_right_only_as_listed(text):
  right = {f"{a}+{73 - a}" for a in range(1, 73)}
  assert arithmetic.grade_split(SPLIT, text) == float(text in right)


@pytest.mark.parametrize(
  "text",
  [
    *("", "73", "+73", "73+", "0+73", "73+0", "-1+74", "7+66+0", "1+2+70"),
    *("07+66", " 7+66", "7+66 ", "7 + 66", "7+66\n", "7+66=", "73=7+66"),
    *("７+66", "٧+66", "7+6_6", "7.0+66", "1e1+63", "7+66\x00", "\ud800"),
    pytest.param("9" * 5000 + "+1", id="thousands of digits"),
    pytest.param("1" * 10**6, id="a million digits"),
  ],
)
def test_a_split_of_any_other_form_is_wrong_and_no_answer(text):
  assert arithmetic.grade_split(SPLIT, text) == 0
  assert arithmetic.extract_split(SPLIT, text) is None


def test_both_orders_are_answers_of_their_own_and_so_are_wrong_ones():
  answers = tasks.grade(split, [SPLIT] * 3, ["7+66", "66+7", "1+1"]).answers
  assert answers == ["7+66", "66+7", "1+1"]


@pytest.mark.parametrize(
  "text, reward, answer",
  [
    ("505", 1, "505"),
    ("504", 0, "504"),
    ("0505", 0, "0505"),
    (" 505", 0, None),
    ("505\n", 0, None),
    ("5+500", 0, None),
    ("٥٠٥", 0, None),
    ("", 0, None),
    ("5" * 5000, 0, None),
  ],
)
def test_a_sum_is_right_only_as_its_digits(text, reward, answer):
  graded = tasks.grade(total, [SUM], [text])
  assert (graded.reward[0], graded.answers[0]) == (reward, answer)


def test_rewards_keep_their_order_and_types():
  graded = tasks.grade(split, [SPLIT] * 3, ["7+66", "7+65", "8+65"])
  assert graded.reward.tolist() == [1, 0, 1]
  assert graded.known.tolist() == [True] * 3
  assert graded.reward.dtype == np.float32
  assert graded.known.dtype == bool


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_unknown_rows_have_reward_0_and_say_so(unknown):
  rewards = {"a": 0.5, "b": unknown, "c": 0.0}
  toy = task(lambda problem, text: rewards[text])
  graded = tasks.grade(toy, [SPLIT] * 3, ["a", "b", "c"])
  assert graded.reward.tolist() == [0.5, 0, 0]
  assert graded.known.tolist() == [True, False, True]
  assert graded.answers == ["a", "b", "c"]


def test_an_empty_batch_is_graded():
  graded = tasks.grade(split, [], [])
  assert graded.reward.shape == graded.known.shape == (0,)
  assert graded.answers == []


def test_lengths_must_match():
  with pytest.raises(ValueError, match="2 problems and 1 texts"):
    tasks.grade(split, [SPLIT] * 2, ["7+66"])


@pytest.mark.parametrize("reward", [-0.1, 1.5, float("inf")])
def test_a_reward_out_of_range_names_task_problem_and_text(reward):
  toy = task(lambda problem, text: reward)
  with pytest.raises(ValueError, match=r"'toy'.*'7\+66'.*problem 0 \('73='\)"):
    tasks.grade(toy, [SPLIT], ["7+66"])


def test_a_task_may_have_other_bounds_of_its_rewards():
  toy = task(lambda problem, text: float(text))
  wide = dataclasses.replace(toy, bounds=(-1.0, 1.1))
  graded = tasks.grade(wide, [SPLIT] * 2, ["-1", "1.1"])
  assert graded.reward.tolist() == pytest.approx([-1, 1.1])
  with pytest.raises(ValueError, match=r"must lie in \[-1, 1\.1\]"):
    tasks.grade(wide, [SPLIT], ["1.2"])


def test_the_whole_batch_is_graded_in_one_call():
  calls = []

  def grade(problems, texts):
    calls.append((list(problems), list(texts)))
    return [1.0, None]

  toy = dataclasses.replace(split, grade=grade)
  graded = tasks.grade(toy, [SPLIT, SUM], ["a", "b"])
  assert calls == [([SPLIT, SUM], ["a", "b"])]
  assert graded.known.tolist() == [True, False]


def test_a_task_that_loses_a_reward_is_refused():
  toy = dataclasses.replace(split, grade=lambda problems, texts: [1.0])
  with pytest.raises(ValueError, match="'toy' gave 1 rewards to 2 texts"):
    tasks.grade(toy, [SPLIT] * 2, ["7+66", "1+1"])


def some_unknown(unknown, count):
  known = np.arange(count) >= unknown
  graded = tasks.Graded(np.zeros(count, np.float32), known, [None] * count)
  return graded, [SPLIT] * count, [f"text {i}" for i in range(count)]


@pytest.mark.parametrize("unknown, count", [(0, 0), (2, 2), (5, 100), (3, 60)])
def test_a_few_unknown_rewards_do_not_stop_a_run(unknown, count):
  tasks.check_known(*some_unknown(unknown, count))


@pytest.mark.parametrize("unknown, count", [(3, 3), (6, 100), (3, 59)])
def test_many_unknown_rewards_stop_the_run_with_three_examples(unknown, count):
  with pytest.raises(RuntimeError) as error:
    tasks.check_known(*some_unknown(unknown, count))
  told = str(error.value)
  assert f"{unknown} of {count} rewards" in told and "at most 5%" in told
  assert [f"'text {i}'" in told for i in range(4)] == [True] * 3 + [False]
