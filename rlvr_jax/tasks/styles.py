"""Ways of grading the responses to problems of datasets, by name."""

import functools
from collections.abc import Callable, Sequence

from rlvr_jax import verify
from rlvr_jax.tasks import instructed, scored
from rlvr_jax.tasks.base import Problem
from rlvr_jax.tasks.style import Style, spoken
from rlvr_jax.verify import scorers

_FUNCTION = "python:"


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
    verdicts = verifier.verify(references, [*map(spoken, problems, texts)])
    return [None if right is None else float(right) for right in verdicts]

  extract = lambda problem, text: verifier.extract(spoken(problem, text))
  return Style(grade, extract, verifier.check_references)


STYLES: dict[str, Callable[[], Style]] = {
  "math": math,
  "math_lenient": functools.partial(math, strict=False),
  "instructions": instructed.instructions,
  "instructions_loose": functools.partial(instructed.instructions, loose=True),
  "instructions_dense": functools.partial(instructed.instructions, dense=True),
  "light_if": instructed.points,
  "gym": scored.gym,
}


def style_of(name: str) -> Style:
  """Returns a way of grading by name.

  Args:
    name: of `STYLES`, or "python:package.module:function" for a user's own.

  Raises:
    ValueError: there is none of this name, or the function cannot be used.
    ImportError: a package that it needs is not installed.
  """
  check_name(name)
  if name.startswith(_FUNCTION):
    return scored.function(name.removeprefix(_FUNCTION))
  return STYLES[name]()


def check_name(name: str) -> None:
  """Raises if nothing has this name; imports nothing.

  Raises:
    ValueError: nothing has.
  """
  if isinstance(name, str) and name.startswith(_FUNCTION):
    scorers.check_target(name.removeprefix(_FUNCTION))
  elif name not in STYLES:
    raise ValueError(
      f"style = {name!r} must be one of {list(STYLES)}, or "
      "'python:package.module:function' for a function of your own."
    )
