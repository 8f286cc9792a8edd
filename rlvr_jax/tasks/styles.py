"""Ways of grading the answers of datasets, by name."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlvr_jax import verify
from rlvr_jax.tasks.base import GradeFn, Problem
from rlvr_jax.tasks.filters import Check

# Some templates begin to think for the model.
_OPEN = re.compile(r"<think>\s*\Z")


class Style(NamedTuple):
  """A way of grading answers."""

  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  check: Check  # of reference answers


def math(strict: bool = True) -> Style:
  """Mathematics: 1 for an answer that is equal to the reference, else 0.

  Args:
    strict: answers must be marked; else the last number will do.

  Raises:
    ImportError: math-verify is not installed.
  """
  verifier = verify.MathVerifier(strict)

  def grade(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[float | None]:
    references = [problem.answer for problem in problems]
    verdicts = verifier.verify(references, [*map(_spoken, problems, texts)])
    return [None if right is None else float(right) for right in verdicts]

  extract = lambda problem, text: verifier.extract(_spoken(problem, text))
  return Style(grade, extract, verifier.check_references)


def _spoken(problem: Problem, text: str) -> str:
  """The response, with the tag of thinking that its prompt left open."""
  tag = _OPEN.search(problem.prompt)
  return text if tag is None else tag[0] + text


STYLES: dict[str, Callable[[], Style]] = {
  "math": math,
  "math_lenient": functools.partial(math, strict=False),
}
