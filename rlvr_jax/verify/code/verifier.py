"""Grades programs: right, wrong or unknown."""

import concurrent.futures
import json
import os
import re
import secrets
import time
from collections.abc import Sequence

from rlvr_jax.verify import extract
from rlvr_jax.verify.code.cases import Asserted, Case, Printed, Returned, parse
from rlvr_jax.verify.code.sandbox import Limits, Sandbox

_FENCE = "```"
_LANGUAGES = ("", "python", "python3", "py")
_LONGEST = 64 << 10  # characters of a program
_DECIMAL = re.compile(
  r"-?[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][-+]?[0-9]{1,2})?"
)
_CLOSE = 1e-6  # relative or absolute, of printed decimals


class CodeVerifier:
  """Runs programs against tests, each in a process of its own.

  A program that fails, prints something else or too much, or uses up its
  processor time is wrong. One that is stopped at its deadline without having
  used it up is unknown: it slept, hid what it did in other processes, or the
  machine was too busy; nobody can tell. So is one whose tests take longer than
  the budget. For what a program could do nevertheless see the package.
  """

  def __init__(
    self,
    limits: Limits | None = None,
    workers: int | None = None,
    allow_network: bool = False,
    budget: float = 60.0,
  ):
    """Runs one empty program.

    Args:
      limits: of a program; None is `Limits()`.
      workers: programs that run at a time; None is one for each processor.
      allow_network: see `Sandbox`.
      budget: seconds for all tests of a response; no other is begun when they
        are over, so that it takes at most `limits.deadline` longer.

    Raises:
      RuntimeError: programs cannot be isolated here.
      ValueError: an argument is out of its range.
    """
    if workers is None:
      workers = len(os.sched_getaffinity(0))
    if workers < 1:
      raise ValueError(f"CodeVerifier: workers = {workers} must be >= 1.")
    if not budget > 0:
      raise ValueError(f"CodeVerifier: budget = {budget} must be above 0.")
    self._sandbox = Sandbox(limits or Limits(), allow_network)
    self._workers, self._budget = workers, budget

  def verify(
    self, references: Sequence[str], texts: Sequence[str]
  ) -> list[bool | None]:
    """Returns whether responses solve their problems.

    Args:
      references: the tests of the problem of each response, see `cases.parse`.
      texts: the responses.

    Returns:
      For each, True, False, or None where it cannot be told. A response
      without a program is wrong.

    Raises:
      ValueError: a reference holds no tests.
    """
    pairs = list(zip(references, map(program_of, texts), strict=True))
    asked = sorted({(r, p) for r, p in pairs if p is not None})
    tests = {reference: parse(reference) for reference, _ in asked}
    solves = lambda pair: self._solves(pair[1], tests[pair[0]])
    with concurrent.futures.ThreadPoolExecutor(self._workers) as pool:
      verdicts = dict(zip(asked, pool.map(solves, asked)))
    return [False if p is None else verdicts[r, p] for r, p in pairs]

  def _solves(self, program: str, tests: Sequence[Case]) -> bool | None:
    """Whether a program passes all tests; the first that it fails decides."""
    until = time.monotonic() + self._budget
    for case in tests:
      if time.monotonic() > until:
        return None
      passed = self._passes(program, case)
      if not passed:
        return passed
    return True

  def _passes(self, program: str, case: Case) -> bool | None:
    source, given, right = _asked(program, case)
    try:
      ended = self._sandbox.run(source, given)
    except RuntimeError:
      return None
    if ended.late:
      return None
    return ended.passed and right(ended.printed)


def program_of(text: str) -> str | None:
  """Returns the program of a response: its last block in fences.

  Args:
    text: the response; only what follows its thoughts counts.

  Returns:
    Python; None where no block is closed, the last is of another language, or
    it has more than 64 k characters.
  """
  found, opened, block = None, None, []
  for line in (extract.final(text) or "").splitlines():
    if not line.lstrip().startswith(_FENCE):
      block.append(line)
    elif opened is None:
      opened, block = line.strip().strip("`").strip().lower(), []
    else:
      found = "\n".join(block) if opened in _LANGUAGES else None
      opened = None
  return found if found and len(found) <= _LONGEST else None


def _asked(program: str, case: Case) -> tuple:
  """What runs, what it reads, and whether what it prints is right."""
  match case:
    case Printed(given, wanted):
      return program, given, lambda printed: _alike(printed, wanted)
    case Returned(function, given, wanted):
      source = program + _CALL.format(function=function)
      right = lambda printed: _returned(printed, wanted)
      return source, json.dumps(given), right
    case Asserted(lines):
      # A program that leaves early has not come to the word at the end.
      word = secrets.token_hex()
      source = f"{program}\n{lines}\nprint()\nprint({word!r})\n"
      return source, "", lambda printed: printed.endswith(f"\n{word}\n")


# Methods of a class Solution are how some problems ask for functions.
_CALL = """
import json as _json, sys as _sys
_function = globals().get("{function}") or getattr(Solution(), "{function}")
_value = _json.dumps(_function(*_json.load(_sys.stdin)))
print("\\n" + _value)
"""


def _returned(printed: str, wanted: object) -> bool:
  try:
    found = json.loads(printed.rstrip("\n").rpartition("\n")[2])
  except (ValueError, RecursionError):
    return False
  # Some datasets put the value into a list of its own.
  return found == wanted or [found] == wanted


def _alike(printed: str, wanted: str) -> bool:
  """Whether two outputs have equal words, line by line; decimals nearly."""
  found, right = (
    [line.split() for line in text.rstrip().splitlines()]
    for text in (printed, wanted)
  )
  return len(found) == len(right) and all(
    len(a) == len(b) and all(map(_same, a, b)) for a, b in zip(found, right)
  )


def _same(a: str, b: str) -> bool:
  if a == b:
    return True
  if "." not in b or not (_DECIMAL.fullmatch(a) and _DECIMAL.fullmatch(b)):
    return False
  return abs(float(a) - float(b)) <= _CLOSE * max(1.0, abs(float(b)))
