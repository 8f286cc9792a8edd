"""Rewards of the form of a response."""

import time

import pytest

from rlvr_jax.verify import formats

WHOLE = "<think>\nwell\n</think>\n<answer>\n7\n</answer>"


@pytest.mark.parametrize(
  ("text", "reward"),
  [
    ("<think>a</think>b", 1),
    ("<think>\na\n</think>", 1),
    (" <think>a</think>b", 0),
    ("a</think>b", 0),
    ("<think>a", 0),
    ("<think>a</think><think>b</think>", 0),
    ("", 0),
  ],
)
def test_a_response_thinks_once_at_its_beginning(text, reward):
  assert formats.think(text) == reward


@pytest.mark.parametrize(
  ("text", "reward"),
  [
    (WHOLE, 1),
    (WHOLE + "\nmore", 1),
    (WHOLE + "more", 0),
    ("so " + WHOLE, 0),
    (WHOLE.replace("</think>\n", "</think>"), 0),
    ("<think>\n\n</think>\n<answer>\n\n</answer>", 1),
    ("<think>\n</think>\n<answer>\n7\n</answer>", 0),
    ("<answer>\n7\n</answer>\n<think>\nwell\n</think>", 0),
  ],
)
def test_thoughts_and_answer_stand_in_tags_on_lines_of_their_own(text, reward):
  assert formats.think_and_answer(text) == reward


def test_each_tag_that_is_there_once_earns_a_quarter():
  assert formats.tag_count(WHOLE) == 1
  assert formats.tag_count(WHOLE + "\n</answer>") == 0.75
  assert formats.tag_count("<think>\na\n</think>\n7") == 0.5
  assert formats.tag_count("") == 0


def test_three_marks_of_steps_earn_the_whole_reward():
  assert formats.reasoning_steps("1. a") == pytest.approx(1 / 3)
  assert formats.reasoning_steps("a\n1. b") == 0
  assert formats.reasoning_steps("First, a\n- b") == pytest.approx(2 / 3)
  assert formats.reasoning_steps("Step 1: a\n* b\n* c\n* d") == 1


@pytest.mark.parametrize(
  "text",
  [
    "<think>\n" * 12_000,
    "<think>\n" + "\n</think>\n<answer>\n" * 5000,
    "<think>\n\n</think>\n<answer>\n" + "\n</answer>x" * 9000,
    "Step " + "1" * 100_000,
    "\n" * 100_000,
  ],
)
def test_the_form_of_a_long_response_is_told_at_once(text):
  began = time.process_time()
  for reward in (
    formats.think,
    formats.think_and_answer,
    formats.tag_count,
    formats.reasoning_steps,
  ):
    assert 0 <= reward(text) <= 1
  assert time.process_time() - began < 0.1
