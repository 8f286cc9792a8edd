"""Finished equations `a + b = c` in a text, and whether they hold."""

import fractions
import operator
import re
from collections.abc import Iterator

# Longer numbers are no arithmetic of a model, and cost time to multiply.
_NUMBER = r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?"
_OPERATORS = {
  "+": operator.add,
  "-": operator.sub,
  "*": operator.mul,
  "×": operator.mul,
  r"\times": operator.mul,
  r"\cdot": operator.mul,
  "/": operator.truediv,
  "÷": operator.truediv,
  r"\div": operator.truediv,
}
_OPERATOR = "|".join(map(re.escape, _OPERATORS))
_PAIR = rf"({_NUMBER})[ \t]*({_OPERATOR})[ \t]*({_NUMBER})"
_FORWARD = re.compile(rf"{_PAIR}[ \t]*=[ \t]*({_NUMBER})")
_BACKWARD = re.compile(rf"({_NUMBER})[ \t]*=[ \t]*{_PAIR}")
# As far as arithmetic goes: an equation is all of such a run or none, so that
# the end of "1 + 2 + 3 = 6" is not taken for one.
_RUN = re.compile(rf"(?:[0-9.=()^ \t]|{_OPERATOR})+")
# What may stand around it in the run, and what shows that it is a part only.
_LEFT, _RIGHT = " \t()=", " \t()."
_BEFORE = re.compile(r"[\w}%,.]")
_BEHIND = re.compile(r"[\w%{]|,[0-9]|\\[A-Za-z]")


def equations(text: str) -> Iterator[tuple[int, int, bool]]:
  """Finds the equations of one operation between two plain numbers.

  Args:
    text: of any length; the time is linear in it.

  Yields:
    (begin, end, whether it holds) of what stands right of the sign "=". A
    division by zero does not hold, a rounded result neither.
  """
  for run in _RUN.finditer(text):
    if "=" not in run[0]:
      continue
    begin = run.end() - len(run[0].lstrip(_LEFT))
    end = run.start() + len(run[0].rstrip(_RIGHT))
    part = begin > 0 and _BEFORE.match(text, begin - 1)
    if part or _BEHIND.match(text, end):
      continue
    holds = _holds(text[begin:end])
    if holds is not None:
      right = text.index("=", begin) + 1
      yield right + _blanks(text[right:end]), end, holds


def _blanks(text: str) -> int:
  return len(text) - len(text.lstrip())


def _holds(text: str) -> bool | None:
  """Whether an equation is true; None if the text is no equation."""
  if forward := _FORWARD.fullmatch(text):
    first, how, second, result = forward.groups()
  elif backward := _BACKWARD.fullmatch(text):
    result, first, how, second = backward.groups()
  else:
    return None
  first, second, result = map(fractions.Fraction, (first, second, result))
  if _OPERATORS[how] is operator.truediv and second == 0:
    return False
  return _OPERATORS[how](first, second) == result
