"""Grading by tests that the program of a response must pass."""

from rlvr_jax.tasks.style import Style, by_verdicts, each_reference
from rlvr_jax.verify import code
from rlvr_jax.verify.code import cases


def graded_by_tests(allow_network: bool = False) -> Style:
  """Returns grading by running programs: 1 if all tests pass, else 0.

  Args:
    allow_network: see `verify.code.Sandbox`.

  Raises:
    ValueError: programs cannot be isolated on this machine.
  """
  try:
    verifier = code.CodeVerifier(allow_network=allow_network)
  except RuntimeError as error:
    raise ValueError(str(error)) from error

  # No two programs say the same, so there is nothing to vote on.
  extract = lambda problem, text: None
  grade = by_verdicts(verifier.verify)
  return Style(grade, extract, each_reference(_check), "json")


def _check(reference: str) -> str | None:
  try:
    cases.parse(reference)
  except ValueError as error:
    return str(error)
  return None
