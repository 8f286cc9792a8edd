r"""Canonical forms of answers by exact arithmetic, without computer algebra.

`key` maps answers that say the same to one text: 1/2, 0.5, \frac12, 50/100 and
50\% are all "1/2". Equal keys mean equal answers, and different numbers or
tuples of numbers are different; all else may still be equal, as (x+1)^2 and
x^2+2x+1 are.

Three rules are a choice:

- A percentage is a number of hundredths; beside a number without percent sign
  it may also be that number, since a problem that asks for a percentage is
  answered 50 and 50\% alike. So does x=5 answer 5, but not y=5.
- Units, degrees and currency are dropped: the problem has named them.
- Elements in round and square brackets keep their order; those of \{...\} and
  of a list without brackets do not.
"""

import functools
import re

from rlvr_jax.verify.latex import clean
from rlvr_jax.verify.rational import number

MAX_LENGTH = 512  # characters of an answer
MAX_NESTING = 32  # brackets inside one another

_UNITS = frozenset(
  "cent cents centimeters cm cubic day days degree degrees dollar dollars "
  "euros feet foot ft g gallons gm grams h hour hours hr inch inches kg km "
  "kmph lb liters m meters mile miles min minute minutes ml mm month months "
  "mph points pounds s sec second seconds sq square unit units week weeks "
  "yards year years".split()
)

_AND = re.compile(r"\\text ?\{ ?(?:and|or) ?\}|\b(?:and|or)\b")
_WORDS = r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox) ?\{([^{}]*)\}"
_TEXT = re.compile(_WORDS)
_UNIT = re.compile(
  rf"(?<=[0-9}}]) ?(?:{_WORDS}|([A-Za-z][A-Za-z ]+))"
  r"(?:\^(?:[23]|\{[23]\}))?\Z"
)
_BLANK = re.compile("(?<![0-9]) | (?![0-9])")  # not that of 1 2, unlike 12
_SCRIPT = re.compile(r"([\^_])\{([0-9A-Za-z])\}")
_NAME = re.compile(r"\A(?:[A-Za-z]|\\[A-Za-z]+) ?=(?=[^=]*\Z)")

_KEY_OF_NUMBER = re.compile(r"\A-?[0-9]+(?:/[0-9]+)?\Z")
_INFINITE = frozenset({r"\infty", r"-\infty"})
_BRACKET = re.compile(r"[()\[\]{}]")
_BRACKET_OR_COMMA = re.compile(r"[()\[\]{},]")


def key(text: str) -> str | None:
  """Returns the canonical form of an answer.

  Args:
    text: an answer as written, LaTeX or plain.

  Returns:
    A text for counting and comparing; a number is "-3" or "1/2". None for an
    answer that says nothing or is too large to be looked at: see MAX_LENGTH,
    MAX_NESTING and `rational.MAX_DIGITS`. So are digits that are not ASCII.
  """
  return None if _too_large(text) else _whole_key(text)


def equal(a: str, b: str) -> bool | None:
  """Returns whether two answers are equal, as far as their keys tell.

  Args:
    a: an answer as written.
    b: another one.

  Returns:
    None where computer algebra must decide. What has no key equals nothing.
  """
  first, second = key(a), key(b)
  if first is None or second is None:
    return False
  if first == second or _equal_but_for_a_mark(a, b):
    return True
  return False if _differ(first, second) else None


def is_number(canonical: str) -> bool:
  """Returns whether a key is that of a number."""
  return _KEY_OF_NUMBER.match(canonical) is not None


def _too_large(text: str) -> bool:
  if len(text) > MAX_LENGTH:
    return True
  depth = 0
  for bracket in _BRACKET.findall(text):
    depth = depth + 1 if bracket in "([{" else max(depth - 1, 0)
    if depth > MAX_NESTING:
      return True
  return not text.isascii() and any(
    c.isdecimal() and not c.isascii() for c in text
  )


@functools.lru_cache(maxsize=1 << 14)
def _whole_key(text: str) -> str | None:
  try:
    return _key(_AND.sub(",", clean(text))) or None
  except OverflowError:
    return None


def _key(text: str) -> str:
  text = text.strip()
  if words := _TEXT.fullmatch(text):
    text = words[1].strip()
  value = number(_without_unit(text))
  if value is not None:
    return str(value)
  opening, closing, elements = _pieces(text)
  if not opening and len(elements) == 1:
    return _symbols(text)
  keys = [_key(element) for element in elements]
  if opening == "(" and closing == ")" and len(keys) == 1:
    return keys[0]
  if opening in ("", "\\{"):
    opening, keys, closing = "{", sorted(keys), "}"
  return opening + ",".join(keys) + closing


def _without_unit(text: str) -> str:
  r"""5 of "5\text{ cm}^2" and "5 dollars"; all of "5 x" and "5 thousand"."""
  unit = _UNIT.search(text)
  if unit and _UNITS.issuperset((unit[1] or unit[2] or "").split()):
    return text[: unit.start()]
  return text


def _symbols(text: str) -> str:
  text = _BLANK.sub("", _TEXT.sub(r"\1", text))
  text = _SCRIPT.sub(r"\1\2", text).removeprefix("+")
  return text.lower() if len(text) > 1 and text.isalpha() else text


def _pieces(text: str) -> tuple[str, str, list[str]]:
  """Opening and closing bracket and elements; "" for brackets as in (a)(b)."""
  size = 0
  if text.startswith("\\{") and text.endswith("\\}"):
    size = 2
  elif text[:1] in ("(", "[") and text[-1:] in (")", "]"):
    size = 1
  inside, depth = text[size : len(text) - size], 0
  for bracket in _BRACKET.findall(inside):
    depth += 1 if bracket in "([{" else -1
    if depth < 0:
      return "", "", _elements(text)
  return text[:size], text[len(text) - size :], _elements(inside)


def _elements(text: str) -> list[str]:
  """Splits at the commas outside of all brackets."""
  depth, start, found = 0, 0, []
  for match in _BRACKET_OR_COMMA.finditer(text):
    if match[0] == ",":
      if depth == 0:
        found.append(text[start : match.start()])
        start = match.end()
    else:
      depth += 1 if match[0] in "([{" else -1
  return [*found, text[start:]]


def _differ(a: str, b: str) -> bool:
  """Whether two keys are of different numbers, or of tuples that hold some."""
  if all(is_number(key) or key in _INFINITE for key in (a, b)):
    return a != b
  (*brackets, inside), (*others, other) = map(_pieces, (a, b))
  if not brackets[0] or brackets != others or len(inside) != len(other):
    return False
  return any(map(_differ, inside, other))


def _equal_but_for_a_mark(a: str, b: str) -> bool:
  """Whether only one has a percent sign or a name before "=", and no matter."""
  a, b = clean(a), clean(b)
  bare_a, bare_b = (_NAME.sub("", text).removesuffix("%") for text in (a, b))
  one_has = (bare_a != a) != (bare_b != b)
  return one_has and key(bare_a) == key(bare_b) is not None
