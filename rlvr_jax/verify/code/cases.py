"""Reads the tests of a programming problem, in the forms that datasets have."""

import contextlib
import json
from typing import NamedTuple

MAX_BYTES = 4 << 20  # of the tests of a problem
_PAIRS = (("inputs", "outputs"), ("input", "output"))


class Printed(NamedTuple):
  """A program reads `given` and must print `wanted`."""

  given: str
  wanted: str


class Returned(NamedTuple):
  """A function of the program, called with `given`, must return `wanted`."""

  function: str
  given: list
  wanted: object


class Asserted(NamedTuple):
  """Python behind the program that must run to its end."""

  lines: str


Case = Printed | Returned | Asserted


def parse(reference: str) -> list[Case]:
  """Returns the tests that a reference holds.

  Args:
    reference: JSON. Inputs and outputs, {"inputs": [...], "outputs": [...]},
      with "fn_name" for a function to call (APPS, TACO, verl), also under
      "input" and "output" (CodeContests); a list of such pairs (LiveCodeBench);
      asserts as a list of texts, as "assert_case" or, with "test_setup_code",
      as "test_list" (MBPP); "test" and "entry_point" (HumanEval).

  Raises:
    ValueError: it is none of these, or has no test.
  """
  if len(reference) > MAX_BYTES:
    raise ValueError(f"has more than {MAX_BYTES} characters")
  try:
    found = json.loads(reference)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"is no JSON of tests ({error})") from None
  cases = _cases(found)
  if not cases:
    raise ValueError(
      "holds no tests; give inputs and outputs, test_list, assert_case, or "
      "test and entry_point"
    )
  return cases


def holds_tests(reference: str) -> bool:
  """Whether a reference looks as if a program were asked for."""
  if reference[:1] not in ("{", "["):
    return False
  try:
    return bool(parse(reference))
  except ValueError:
    return False


def _cases(found: object) -> list[Case]:
  if isinstance(found, list) and found:
    if all(isinstance(one, str) for one in found):
      return [_asserted("", found)]
    return [case for one in found for case in _of_pair(one)]
  if not isinstance(found, dict):
    return []
  if isinstance(test := found.get("test"), str):
    call = f"check({_name(found.get('entry_point'))})"
    return [_asserted("", [test, call])]
  for key in ("test_list", "assert_case"):
    if key in found:
      return [_asserted(found.get("test_setup_code", ""), found[key])]
  for inputs, outputs in _PAIRS:
    if inputs in found:
      return _paired(found[inputs], found.get(outputs), found.get("fn_name"))
  return []


def _of_pair(one: object) -> list[Case]:
  if not isinstance(one, dict) or not {"input", "output"} <= one.keys():
    raise ValueError(f"has the test {one!r:.60}, which has no input and output")
  details = one.get("metadata")
  details = details if isinstance(details, dict) else {}
  name = one.get("fn_name") or details.get("func_name")
  return _paired([one["input"]], [one["output"]], name)


def _paired(inputs: object, outputs: object, name: object) -> list[Case]:
  lists = isinstance(inputs, list) and isinstance(outputs, list)
  if not lists or len(inputs) != len(outputs):
    raise ValueError("must have as many outputs as inputs, both in lists")
  if name is None:
    return [Printed(_lines(a), _lines(b)) for a, b in zip(inputs, outputs)]
  name = _name(name)
  return [
    Returned(name, *_call(given, wanted))
    for given, wanted in zip(inputs, outputs)
  ]


def _call(given: object, wanted: object) -> tuple[list, object]:
  """The arguments of a call and its value; as text, JSON to a line."""
  # What is no JSON is a text that means itself.
  with contextlib.suppress(ValueError, RecursionError):
    if isinstance(given, str):
      given = [json.loads(line) for line in given.splitlines()]
    if isinstance(wanted, str):
      wanted = json.loads(wanted)
  if not isinstance(given, list):
    raise ValueError(f"calls a function with {given!r:.60}, which is no list")
  return given, wanted


def _asserted(setup: object, lines: object) -> Asserted:
  texts = [setup, *lines] if isinstance(lines, list) else [setup, lines]
  if not all(isinstance(text, str) for text in texts):
    raise ValueError("has asserts that are no text")
  return Asserted("\n".join(texts))


def _lines(value: object) -> str:
  """Text as it is, and a list of texts as lines."""
  if isinstance(value, list) and all(isinstance(line, str) for line in value):
    return "\n".join(value)
  if not isinstance(value, str):
    raise ValueError(f"has the input or output {value!r:.60}, which is no text")
  return value


def _name(value: object) -> str:
  if not isinstance(value, str) or not value.isidentifier():
    raise ValueError(f"names the function {value!r:.60}, which is no name")
  return value
