"""Ways of grading the answers of datasets, by name."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlvr_jax import verify
from rlvr_jax.tasks.agreement import agreeing
from rlvr_jax.tasks.base import AgreeFn, GradeFn, Problem
from rlvr_jax.tasks.filters import Check

CLUSTERS = ("exact", "math")


class Style(NamedTuple):
  """A way of grading answers."""

  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  check: Check  # of reference answers
  agree: AgreeFn | None = None  # see `Task.agree`


def math(strict: bool = True, clusters: str = "exact") -> Style:
  """Mathematics: 1 for an answer that is equal to the reference, else 0.

  Args:
    strict: answers must be marked; else the last number will do.
    clusters: which responses agree, one of CLUSTERS: those of equal canonical
      answers, or also those that are equal as a reference and an answer would
      be, (x+1)^2 and x^2+2x+1.

  Raises:
    ImportError: math-verify is not installed.
  """
  verifier = verify.MathVerifier(strict)

  def grade(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[float | None]:
    references = [problem.answer for problem in problems]
    verdicts = verifier.verify(references, texts)
    return [None if right is None else float(right) for right in verdicts]

  extract = lambda problem, text: verifier.extract(text)
  written = lambda problem, text: verifier.written(text)
  agree = agreeing(written, verifier.equal, verify.canonical.key)
  return Style(
    grade,
    extract,
    verifier.check_reference,
    agree if clusters == "math" else None,
  )


STYLES: dict[str, Callable[..., Style]] = {
  "math": math,
  "math_lenient": functools.partial(math, strict=False),
}
