r"""Right answers are one answer, however they are written."""

import json
import math

import jax
import pytest

from rlvr_jax import verify
from rlvr_jax.evaluation import classes, figures, page
from rlvr_jax.evaluation.records import Record
from rlvr_jax.training.evaluate import Evaluator

HEADER = {"model": "m", "style": "math"}


def record(answers, right, reference="5", id="1"):
  n = len(answers)
  same = dict(tokens=[9] * n, truncated=[False] * n, entropy=[0.5] * n)
  return Record(
    "toy", id, "?", reference, list(answers), list(right), **same, texts=[]
  )


# Four of seven are right, in two forms; three agree on a mistake.
SEVEN = record(
  ["5", "5", "x=5", "x=5", "6", "6", "6"], [True] * 4 + [False] * 3
)


def numbers(folder, *records, header=HEADER):
  page.write(header, records, (1,), folder)
  found = json.loads((folder / "figures.json").read_text())["toy"]
  return {name: figure["value"] for name, figure in found.items()}


def test_right_answers_vote_together_and_are_one_answer(tmp_path):
  found = numbers(tmp_path, SEVEN)
  assert found["maj@7"] == 1
  assert found["distinct"] == 2 and found["distinct_right"] == 1
  # -(4/7) ln(4/7) - (3/7) ln(3/7)
  assert found["answer_entropy"] == pytest.approx(0.682908, abs=1e-6)


def test_wrong_answers_keep_their_forms(tmp_path):
  # Votes: 5 has two, every wrong form one; the three are not added up.
  wrong = ["7", "x=7", "y=7"]
  found = numbers(tmp_path, record(["5", "x=5", *wrong], [1, 1, 0, 0, 0]))
  assert found["maj@5"] == 1 and found["distinct"] == 4
  # -(2/5) ln(2/5) - 3 (1/5) ln(1/5)
  assert found["answer_entropy"] == pytest.approx(1.332179, abs=1e-6)


def test_a_wrong_answer_of_the_same_form_is_another_answer(tmp_path):
  # 5% for "how many percent?" is right, 0.05 is not; both are 1/20.
  both = record(["1/20", "1/20", "1/20", "6"], [True, False, False, False])
  assert classes.one_right([both])[0].answers == [
    "1/20 (right)", "1/20", "1/20", "6"
  ]  # fmt: skip
  found = numbers(tmp_path, both)
  assert found["maj@4"] == 0 and found["distinct"] == 3


def test_the_most_frequent_form_names_the_right_answer():
  said = ["x=5", "5", "5", None, "6", "7"]
  verdicts = [True, True, True, True, False, None]
  (found,) = classes.one_right([record(said, verdicts)])
  assert found.answers == ["5"] * 4 + ["6", "7"]
  # Too large for a normal form, and right: the reference says what it is.
  (found,) = classes.one_right([record([None, None], [True, False], "5")])
  assert found.answers == ["5", None]


PAIRS = [
  ("5", "5", "x=5"),
  ("1000", "1000", "10^3"),
  (r"3\sqrt{2}", r"3\sqrt{2}", r"\sqrt{18}"),
  (r"\frac{\pi}{2}", r"\pi/2", r"0.5\pi"),
  ("5", "5", r"5\%"),
]


def test_what_the_verifier_finds_right_is_one_answer():
  with verify.MathVerifier() as verifier:
    for reference, *written in PAIRS:
      texts = [rf"\boxed{{{answer}}}" for answer in written]
      said = [*map(verifier.extract, texts)]
      right = verifier.verify([reference] * 2, texts)
      assert right == [True, True]
      # Without two forms there would be nothing to see to.
      assert len(set(said)) == 2, written
      (found,) = classes.one_right([record(said, right, reference)])
      assert set(found.answers) == {said[0]}


@pytest.mark.parametrize("style", ["gym", "python:rewards:reward", None])
def test_where_several_answers_are_right_they_stay_apart(tmp_path, style):
  found = numbers(tmp_path, SEVEN, header=HEADER | {"style": style})
  assert found["maj@7"] == 0
  assert found["distinct"] == 3 and found["distinct_right"] == 2


def test_training_counts_forms_as_they_are():
  class Examiner:
    class task:
      evaluation = (None,)

    def records(self, *args):
      return [[SEVEN]]

  logged = Evaluator(Examiner(), (1,))(None, jax.random.key(0), 0)
  assert logged["eval/maj@7"] == 0 and logged["eval/distinct_right"] == 2
  # 2/7, 2/7 and 3/7.
  forms = -4 / 7 * math.log(2 / 7) - 3 / 7 * math.log(3 / 7)
  assert logged["eval/answer_entropy"] == pytest.approx(forms)
  assert figures.row(figures.per_problem([SEVEN], (1,)))["distinct"].value == 3
