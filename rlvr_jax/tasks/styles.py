"""Ways of grading the responses to problems of datasets, by name."""

import functools
from collections.abc import Callable, Sequence

from rlvr_jax import verify
from rlvr_jax.tasks import instructed, scored
from rlvr_jax.tasks.agreement import agreeing
from rlvr_jax.tasks.base import Problem
from rlvr_jax.tasks.style import Style, spoken
from rlvr_jax.verify import scorers

CLUSTERS = ("exact", "math")
_MATHS = ("math", "math_lenient")
_FUNCTION = "python:"


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
    verdicts = verifier.verify(references, [*map(spoken, problems, texts)])
    return [None if right is None else float(right) for right in verdicts]

  extract = lambda problem, text: verifier.extract(spoken(problem, text))
  written = lambda problem, text: verifier.written(spoken(problem, text))
  agree = agreeing(written, verifier.equal, verify.canonical.key)
  style = Style(grade, extract, verifier.check_references)
  return style._replace(agree=agree) if clusters == "math" else style


STYLES: dict[str, Callable[..., Style]] = {
  "math": math,
  "math_lenient": functools.partial(math, strict=False),
  "instructions": instructed.instructions,
  "instructions_loose": functools.partial(instructed.instructions, loose=True),
  "instructions_dense": functools.partial(instructed.instructions, dense=True),
  "light_if": instructed.points,
  "gym": scored.gym,
}


def style_of(name: str, clusters: str = "exact") -> Style:
  """Returns a way of grading by name.

  Args:
    name: of `STYLES`, or "python:package.module:function" for a user's own.
    clusters: see `math`; the others know "exact" alone.

  Raises:
    ValueError: there is none of this name, it knows no such clusters, or the
      function cannot be used.
    ImportError: a package that it needs is not installed.
  """
  check(name, clusters)
  if name.startswith(_FUNCTION):
    return scored.function(name.removeprefix(_FUNCTION))
  return STYLES[name](**dict(clusters=clusters) if name in _MATHS else {})


def check(name: str, clusters: str = "exact") -> None:
  """Raises if nothing has this name and compares so; imports nothing.

  Raises:
    ValueError: nothing has.
  """
  if clusters not in CLUSTERS:
    raise ValueError(f"clusters = {clusters!r} must be one of {CLUSTERS}.")
  if clusters != "exact" and name not in _MATHS:
    raise ValueError(
      f"clusters = {clusters!r} compares mathematics, but style = {name!r}; "
      f"choose a style of {_MATHS}, or clusters = 'exact'."
    )
  if isinstance(name, str) and name.startswith(_FUNCTION):
    scorers.check_target(name.removeprefix(_FUNCTION))
  elif name not in STYLES:
    raise ValueError(
      f"style = {name!r} must be one of {list(STYLES)}, or "
      "'python:package.module:function' for a function of your own."
    )
