"""What the arguments of instructions may be."""

from collections.abc import Callable
from typing import NamedTuple

LESS, LEAST = "less than", "at least"


class Argument(NamedTuple):
  """What an argument may be, in words and as a test."""

  allowed: str
  fits: Callable[[object], bool]


def holds(count: int, relation: str, number: int) -> bool:
  """Returns whether `count` is less than, or at least, `number`.

  Args:
    count: of something in a response.
    relation: "less than" or "at least".
    number: asked for.
  """
  return count < number if relation == LESS else count >= number


def _whole(value: object) -> bool:
  # Tables with gaps turn 3 into 3.0.
  if isinstance(value, float):
    return value.is_integer()
  return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object) -> bool:
  return isinstance(value, str) and bool(value.strip())


COUNT = Argument("a whole number of at least 0", lambda x: _whole(x) and x >= 0)
PLACE = Argument("a whole number of at least 1", lambda x: _whole(x) and x >= 1)
TEXT = Argument("text that is not blank", _text)
TEXTS = Argument(
  "a list of texts that are not blank",
  lambda x: isinstance(x, list) and bool(x) and all(map(_text, x)),
)
LETTER = Argument("one character", lambda x: _text(x) and len(x) == 1)
RELATION = Argument(f'"{LESS}" or "{LEAST}"', lambda x: x in (LESS, LEAST))
