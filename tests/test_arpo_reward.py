"""ARPO's reward: the form of a response that uses tools, and its words."""

import time

import pytest

from rlvr_jax.verify import arpo, extract, formats, words

CALL = "<search>q</search><result>r</result>"
RUN = "<python>1</python><result>1</result>"
ANSWER = r"<answer>It is \boxed{the Paris}</answer>"
PLAIN = "<think>a</think>" + ANSWER
BOTH = "<think>a</think>" + CALL + "<think>b</think>" + RUN + ANSWER


def reward(text, *references):
  return arpo.score(text, references or ("Paris",)).reward


@pytest.mark.parametrize(
  "text",
  [
    ANSWER,
    PLAIN + "<think>",
    PLAIN + ANSWER,
    PLAIN.replace("</answer>", ""),
    "<think>a</think></answer>" + ANSWER.replace("</answer>", ""),
    PLAIN.replace(r"\boxed{the Paris}", "Paris"),
    PLAIN.replace("Paris}", "Paris"),
    PLAIN.replace("the Paris}", r"Paris} and \boxed{Paris"),
    r"<think>\boxed{Paris}</think><answer>Paris</answer>",
    "<search>q</search>" + PLAIN,
    "<search>q<result>r</result></search>" + PLAIN,
    "<search>q<result>r</result>" + PLAIN,
    "<result>r</result><search>q</search>" + PLAIN,
    CALL + "<search>q" + PLAIN,
    "<python>1</python><result>1" + PLAIN,
    "",
  ],
)
def test_a_bad_form_costs_one_whatever_the_answer(text):
  assert formats.tools_and_answer(text) == 0
  assert arpo.score(text, ("Paris",)) == (-1, 0)


@pytest.mark.parametrize("text", [PLAIN, BOTH, CALL + PLAIN, RUN + RUN + PLAIN])
def test_tools_may_be_called_as_long_as_each_has_a_result(text):
  assert formats.tools_and_answer(text) == 1
  assert reward(text) >= 1


def test_one_result_may_serve_calls_of_different_tools():
  # Each tool is looked at by itself.
  text = "<search>q</search><python>1</python><result>r</result>" + PLAIN
  assert reward(text) == 1.1


def test_both_tools_earn_a_tenth_but_only_with_a_word_in_common():
  assert reward(PLAIN) == reward(CALL + PLAIN) == reward(RUN + PLAIN) == 1
  assert reward(BOTH) == 1.1
  assert reward(BOTH, "London") == reward(PLAIN, "London") == 0


def test_the_nearest_of_several_references_counts():
  assert reward(PLAIN, "London", "Paris France") == pytest.approx(2 / 3)
  assert reward(PLAIN, "Paris France", "paris!") == 1


@pytest.mark.parametrize(
  ("answer", "reference", "likeness"),
  [
    ("The Eiffel Tower.", "eiffel tower", 1),
    ("tower eiffel", "Eiffel Tower", 1),
    ("the city Paris", "Paris", 2 / 3),
    ("a a a", "an", 0),  # articles alone
    ("x x x y", "x x z", 4 / 7),
    ("U.S.A.", "usa", 1),
    ("theory", "the ory", 0),
    ("", "Paris", 0),
    ("yes", "YES!", 1),
    ("yes", "yes indeed", 0),
    ("it is no", "no", 0),
    ("no answer", "noanswer", 0),
    ("no way", "no answer", 1 / 2),
  ],
)
def test_answers_are_compared_by_the_words_in_common(
  answer, reference, likeness
):
  assert words.f1(answer, reference) == pytest.approx(likeness)
  assert words.f1(reference, answer) == pytest.approx(likeness)


def test_references_are_one_answer_or_a_list_of_them():
  assert arpo.parse("Paris") == ("Paris",)
  assert arpo.parse('["Paris", "the city"]') == ("Paris", "the city")
  assert arpo.parse("42") == ("42",)
  assert arpo.parse("[0, 1)") == ("[0, 1)",)


@pytest.mark.parametrize("wrong", ["", "the", "?!", "[]", "[1]", '["a"]'])
def test_a_reference_that_nothing_can_equal_is_refused(wrong):
  with pytest.raises(ValueError, match="must be an answer with a word in it"):
    arpo.parse(wrong)


def test_a_box_is_read_to_its_own_end():
  assert extract.boxed(r"\boxed{a} \boxed{\frac{1}{2}} c}") == r"\frac{1}{2}"
  assert extract.boxed(r"\boxed{}") == ""
  assert extract.boxed(r"\boxed{a} \boxed{b") is None
  assert extract.boxed("a") is None


LONG = {
  "thoughts": "<think></think>" * 10_000,
  "calls": CALL * 10_000 + PLAIN,
  "one result": "<search></search>" * 20_000 + "<result></result>" + PLAIN,
  "open calls": "<search>" * 20_000 + "</search><result></result>" + PLAIN,
  "braces": PLAIN.replace("Paris", "Paris {" * 20_000),
  "articles": PLAIN.replace("Paris", "a the an " * 20_000),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_response_is_scored_at_once(text):
  began = time.process_time()
  assert -1 <= reward(text) <= 1.1
  assert time.process_time() - began < 0.2
