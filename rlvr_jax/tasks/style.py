"""What a way of grading is."""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rlvr_jax.tasks.base import AgreeFn, GradeFn, Problem
from rlvr_jax.tasks.filters import Check

# Some templates begin to think for the model.
_OPEN = re.compile(r"<think>\s*\Z")


class Style(NamedTuple):
  """A way of grading the responses to problems of datasets.

  Attributes:
    grade: of a batch, as `Task.grade`.
    extract: as `Task.extract`.
    check: of reference answers, when data are loaded.
    reference: what references may be, see `sources.read`.
    agree: as `Task.agree`.
    bounds: as `Task.bounds`.
  """

  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  check: Check
  reference: Literal["text", "json", "entry"] = "text"
  agree: AgreeFn | None = None
  bounds: tuple[float, float] = (0.0, 1.0)


def each_reference(check: Callable[[str], str | None]) -> Check:
  """Checks reference answers one by one.

  Args:
    check: says what is wrong with one; None if nothing is.
  """
  return lambda references: [check(reference) for reference in references]


def by_verdicts(
  verify: Callable[[Sequence[str], Sequence[str]], list[bool | None]],
) -> GradeFn:
  """Grades 1 for right, 0 for wrong, None where it cannot be told.

  Args:
    verify: (references, responses) to a verdict on each response.
  """

  def grade(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[float | None]:
    references = [problem.answer for problem in problems]
    verdicts = verify(references, [*map(spoken, problems, texts)])
    return [None if right is None else float(right) for right in verdicts]

  return grade


def spoken(problem: Problem, text: str) -> str:
  """Returns a response, with the tag of thinking that its prompt left open.

  Args:
    problem: that was asked.
    text: the response.
  """
  tag = _OPEN.search(problem.prompt)
  return text if tag is None else tag[0] + text
