"""What a response answers, by the mark it carries."""

import time

import pytest

from rlvr_jax.verify import extract


@pytest.mark.parametrize(
  "text, answer",
  [
    (r"so \boxed{42}.", "42"),
    (r"\boxed{1} and then \boxed{2}", "2"),
    (r"\boxed{\frac{1}{2}} is it", r"\frac{1}{2}"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
    (r"\boxed{\left\{x : x > 0\right.}", r"\left\{x : x > 0\right."),
    (r"\boxed{\text{about \boxed{7}}}", "7"),
    ("\\boxed{\n 3 \n}", "3"),
    (r"\boxed{5} as \boxed says", "5"),
  ],
)
def test_the_last_box_is_the_answer(text, answer):
  assert extract.answer(text) == answer


@pytest.mark.parametrize(
  "text", [r"\boxed{}", r"\boxed{ }", r"\boxed{7", r"\boxed{1} \boxed{\frac{2}"]
)
def test_a_last_box_that_is_empty_or_open_is_no_answer(text):
  assert extract.answer(text + "\nAnswer: 3\n#### 4", strict=True) is None
  assert extract.answer(text, strict=False) is None


@pytest.mark.parametrize(
  "text, answer",
  [
    ("Answer: 12", "12"),
    ("answer : $\\frac{1}{3}$\nThat was it.", "$\\frac{1}{3}$"),
    ("Answer: 1\nAnswer: 2\n", "2"),
    ("**Answer:** 5", "5"),
    ("Answer: 5, final answer: 6", "6"),
    ("Answer:\n\n$5$\n\nas said", "$5$"),
    ("**Final Answer**: x = 4", "x = 4"),
    ("Answer: \\boxed{8}", "8"),
    ("Answer: 9\n#### 10", "9"),
  ],
)
def test_without_a_box_the_last_answer_line_is_the_answer(text, answer):
  assert extract.answer(text) == answer


@pytest.mark.parametrize(
  "text, answer",
  [
    ("blah #### 1,234", "1,234"),
    ("#### -3.5", "-3.5"),
    ("#### 5 #### $6", "$6"),
    ("#### Step 3: add", None),
  ],
)
def test_without_both_the_number_behind_hashes_is_the_answer(text, answer):
  assert extract.answer(text) == answer


@pytest.mark.parametrize(
  "text, number",
  [
    ("no box here 7", "7"),
    ("total 18.", "18"),
    ("it costs $1,234.50, he said", "1,234.50"),
    ("3/4 of it", "3/4"),
    ("from 3-5", "5"),
    ("x = -5", "-5"),
    ("about .25", ".25"),
    ("a rise of 30%", "30%"),
    ("1,2345", "2345"),
  ],
)
def test_only_a_lenient_extractor_takes_the_last_number(text, number):
  assert extract.answer(text, strict=True) is None
  assert extract.answer(text, strict=False) == number


@pytest.mark.parametrize(
  "text, answer",
  [
    (r"<think>\boxed{1}</think> \boxed{2}", "2"),
    (r"\boxed{1}</think> \boxed{2}", "2"),
    (r"<think>a</think><think>\boxed{1}</think> so \boxed{3}", "3"),
    (r"<think>\boxed{1}", None),
    (r"<think>\boxed{1}</think>", None),
    (r"<think>a</think> \boxed{2} <think>", None),
  ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_only_what_follows_the_thoughts_counts(text, answer, strict):
  assert extract.answer(text, strict) == answer


@pytest.mark.parametrize("text", ["", " ", "word", "Answer:", "Answer: **"])
@pytest.mark.parametrize("strict", [True, False])
def test_a_response_without_an_answer_has_none(text, strict):
  assert extract.answer(text, strict) is None


def test_an_answer_far_from_the_end_is_not_read():
  assert extract.answer(r"\boxed{8}" + "." * (extract.TAIL - 10)) == "8"
  assert extract.answer(r"\boxed{8}" + "." * extract.TAIL) is None


@pytest.mark.parametrize(
  "text, answer",
  [
    (r"\boxed{" * 2000 + "1" + "}" * 2000, "1"),
    (r"\boxed{a}\boxed{b}" * 10_000, "b"),
    (r"\boxed{" * 30_000, None),
    ("\\boxed{" + "{" * 200_000, None),
    ("\\" * 200_001 + "boxed{1}", "1"),
    ("\x00\ud800\u202e" * 70_000, None),
    ("<think>" * 30_000, None),
    ("Answer:" * 30_000, None),
    ("\n" * 200_000, None),
  ],
)
def test_hostile_texts_are_read_in_no_time(text, answer):
  began = time.process_time()
  assert extract.answer(text, strict=False) == answer
  assert time.process_time() - began < 0.05
