"""Ways of grading the responses to problems of datasets, by name."""

import functools
from collections.abc import Callable, Sequence

from rlvr_jax import verify
from rlvr_jax.tasks import instructed, scored, tool_use
from rlvr_jax.tasks.agreement import agreeing
from rlvr_jax.tasks.filters import Check
from rlvr_jax.tasks.programs import graded_by_tests
from rlvr_jax.tasks.style import Style, by_verdicts, spoken
from rlvr_jax.verify import scorers
from rlvr_jax.verify.code import cases

CLUSTERS = ("exact", "math")
PROGRAMS = ("refused", "isolated", "allow_network")
_MATHS = ("math", "math_lenient")
_FUNCTION = "python:"
_CODE = "code"
_TESTS = (
  'these are tests of a program, which style="code" runs if programs="isolated"'
)


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

  grade = by_verdicts(verifier.verify)
  extract = lambda problem, text: verifier.extract(spoken(problem, text))
  written = lambda problem, text: verifier.written(spoken(problem, text))
  agree = agreeing(written, verifier.equal, verify.canonical.key)
  style = Style(grade, extract, _without_tests(verifier.check_references))
  return style._replace(agree=agree) if clusters == "math" else style


def _without_tests(check: Check) -> Check:
  """The check, which says of tests of programs what they are."""

  def checked(references: Sequence[str]) -> list[str | None]:
    code = [cases.holds_tests(reference) for reference in references]
    rest = [r for r, tests in zip(references, code) if not tests]
    told = iter(check(rest))
    return [_TESTS if tests else next(told) for tests in code]

  return checked


STYLES: dict[str, Callable[..., Style]] = {
  "math": math,
  "math_lenient": functools.partial(math, strict=False),
  "instructions": instructed.instructions,
  "instructions_loose": functools.partial(instructed.instructions, loose=True),
  "instructions_dense": functools.partial(instructed.instructions, dense=True),
  "light_if": instructed.points,
  "arpo": tool_use.arpo,
  "gym": scored.gym,
  "code": graded_by_tests,
}


def style_of(
  name: str, clusters: str = "exact", programs: str = "refused"
) -> Style:
  """Returns a way of grading by name.

  Args:
    name: of `STYLES`, or "python:package.module:function" for a user's own.
    clusters: see `math`; the others know "exact" alone.
    programs: whether "code" may run what a model writes, one of PROGRAMS.

  Raises:
    ValueError: there is none of this name, it knows no such clusters, the
      function cannot be used, or programs cannot be run as wanted.
    ImportError: a package that it needs is not installed.
  """
  check(name, clusters, programs)
  if name.startswith(_FUNCTION):
    return scored.function(name.removeprefix(_FUNCTION))
  if name == _CODE:
    return STYLES[name](allow_network=programs == "allow_network")
  return STYLES[name](**dict(clusters=clusters) if name in _MATHS else {})


def check(
  name: str, clusters: str = "exact", programs: str = "refused"
) -> None:
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
  if programs not in PROGRAMS:
    raise ValueError(f"programs = {programs!r} must be one of {PROGRAMS}.")
  if (name == _CODE) == (programs == "refused"):
    raise ValueError(
      f"style = {name!r} and programs = {programs!r}: only style = 'code' runs "
      "what a model writes, and only if programs = 'isolated' or, where a "
      "machine may be lost, 'allow_network'. See docs/data.md."
    )
  if isinstance(name, str) and name.startswith(_FUNCTION):
    scorers.check_target(name.removeprefix(_FUNCTION))
  elif name not in STYLES:
    raise ValueError(
      f"style = {name!r} must be one of {list(STYLES)}, or "
      "'python:package.module:function' for a function of your own."
    )
