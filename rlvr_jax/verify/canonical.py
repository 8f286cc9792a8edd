r"""Canonical forms of answers by exact arithmetic, without computer algebra.

`key` maps answers that say the same to one text: 1/2, 0.5, \frac12, 50/100 and
50\% are all "1/2". Equal keys mean equal answers and different numbers are
different; all else may still be equal, as (x+1)^2 and x^2+2x+1 are.

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
from fractions import Fraction

MAX_LENGTH = 512  # characters of an answer
MAX_NESTING = 32  # brackets inside one another
MAX_DIGITS = 1000  # of a number when written out

_UNITS = frozenset(
  "cent cents centimeters cm cubic day days degree degrees dollar dollars "
  "euros feet foot ft g gallons gm grams h hour hours hr inch inches kg km "
  "kmph lb liters m meters mile miles min minute minutes ml mm month months "
  "mph points pounds s sec second seconds sq square unit units week weeks "
  "yards year years".split()
)

_CHARACTERS = str.maketrans(
  {
    **dict.fromkeys("\u2212\u2013", "-"),
    "\u00d7": r"\times ",
    "\u03c0": r"\pi ",
    "\u221e": r"\infty ",
    "\u00b0": "",
    "~": " ",
  }
)
# Blanks are single where these are applied, and what must match the whole text
# is anchored: each takes linear time on any text.
_ARGUMENT = " ?([0-9A-Za-z])"
_REPLACED = [
  (re.compile(pattern), by)
  for pattern, by in (
    # Delimiters and thin spaces; a line break \\ keeps what is behind it.
    (r"(\\\\)|\\[()\[\]!,;:$]|\$", r"\1"),
    (r"\\(?:left|right|displaystyle|[bB]igg?[lr]?)(?![A-Za-z])", ""),
    (r"\^ ?\\circ(?![A-Za-z])|\^ ?\{\\circ\}|\\degree(?![A-Za-z])", ""),
    (r"(?<!\\)\\(?:q?quad(?![A-Za-z])| )", " "),
    (r"\\%|\\text ?\{ ?percent\}|\bpercent\b", "%"),
    (r"\{,\}", ","),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (rf"\\(frac|sqrt){_ARGUMENT}", r"\\\1{\2}"),
    (rf"(\\frac ?\{{[^{{}}]*\}}){_ARGUMENT}", r"\1{\2}"),
  )
]
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

_DECIMAL = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
_SCALED = re.compile(
  rf"\A([+-]?) ?({_DECIMAL})(?:[eE]([+-]?[0-9]+)"
  r"| ?\\(?:times|cdot) ?10 ?\^ ?(?:([0-9])|\{([+-]?[0-9]+)\}))?\Z"
)
_INSIDE = rf"\{{ ?([+-]?{_DECIMAL}) ?\}}"
_FRACTIONS = [
  re.compile(rf"\A([+-]?) ?(?:([0-9]+) ?)?\\frac ?{_INSIDE} ?{_INSIDE}\Z"),
  re.compile(rf"\A([+-]?) ?(?:([0-9]+) )?({_DECIMAL}) ?/ ?([+-]?{_DECIMAL})\Z"),
]
_KEY_OF_NUMBER = re.compile(r"\A-?[0-9]+(?:/[0-9]+)?\Z")
_BRACKET = re.compile(r"[()\[\]{}]")
_BRACKET_OR_COMMA = re.compile(r"[()\[\]{},]")


@functools.lru_cache(maxsize=1 << 16)
def key(text: str) -> str | None:
  """Returns the canonical form of an answer.

  Args:
    text: an answer as written, LaTeX or plain.

  Returns:
    A text for counting and comparing; a number is "-3" or "1/2". None for an
    answer that says nothing or is too large to be looked at: see MAX_LENGTH,
    MAX_NESTING and MAX_DIGITS. So are digits that are not ASCII.
  """
  if _too_large(text):
    return None
  try:
    return _key(_AND.sub(",", clean(text))) or None
  except OverflowError:
    return None


@functools.lru_cache(maxsize=1 << 16)
def clean(text: str) -> str:
  r"""Returns an answer without what only changes its look: \left, \!, $ ...

  Args:
    text: an answer as written, of any length.

  Returns:
    LaTeX, with \frac and \sqrt before braces.
  """
  text = " ".join(text.translate(_CHARACTERS).split())
  for pattern, by in _REPLACED:
    text = pattern.sub(by, text)
  return " ".join(text.split()).rstrip(".,;: ")


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
  if is_number(first) and is_number(second):
    return False
  return None


def is_number(canonical: str) -> bool:
  """Returns whether a key is that of a number."""
  return _KEY_OF_NUMBER.match(canonical) is not None


def number(text: str) -> Fraction | None:
  """Returns the exact value of a number.

  Args:
    text: cleaned; a decimal, a fraction or a mixed number, perhaps with
      thousands commas, a power of ten or a percent sign.

  Returns:
    The value, or None for anything else.

  Raises:
    OverflowError: it has more than MAX_DIGITS digits.
  """
  whole, percent = text.removesuffix("%").strip(), text.endswith("%")
  scaled = _SCALED.match(whole)
  value = _scaled(*scaled.groups()) if scaled else _fraction(whole)
  return value / 100 if percent and value is not None else value


def _scaled(sign: str, decimal: str, *exponents: str | None) -> Fraction:
  exponent = int(next(filter(None, exponents), "0"))
  if len(decimal) + abs(exponent) > MAX_DIGITS:
    raise OverflowError
  return _exact(sign + decimal) * Fraction(10) ** exponent


def _fraction(text: str) -> Fraction | None:
  for pattern in _FRACTIONS:
    if found := pattern.match(text):
      sign, whole, above, below = found.groups()
      if not _exact(below):
        return None
      value = int(whole or "0") + _exact(above) / _exact(below)
      return -value if sign == "-" else value
  return None


def _exact(decimal: str) -> Fraction:
  whole, _, places = decimal.replace(",", "").partition(".")
  return Fraction(int(whole + places), 10 ** len(places))


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


def _key(text: str) -> str:
  text = text.strip()
  if words := _TEXT.fullmatch(text):
    text = words[1].strip()
  value = number(_without_unit(text))
  if value is not None:
    return str(value)
  opening, inside, closing = _unwrapped(text)
  elements = _elements(inside)
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
  text = _SCRIPT.sub(r"\1\2", text)
  return text.lower() if len(text) > 1 and text.isalpha() else text


def _unwrapped(text: str) -> tuple[str, str, str]:
  """Opening bracket, inside, closing bracket; no brackets of (a)(b)."""
  if text.startswith("\\{") and text.endswith("\\}"):
    size = 2
  elif text[:1] in ("(", "[") and text[-1:] in (")", "]"):
    size = 1
  else:
    return "", text, ""
  inside, depth = text[size:-size], 0
  for bracket in _BRACKET.findall(inside):
    depth += 1 if bracket in "([{" else -1
    if depth < 0:
      return "", text, ""
  return text[:size], inside, text[-size:]


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


def _equal_but_for_a_mark(a: str, b: str) -> bool:
  """Whether only one has a percent sign or a name before "=", and no matter."""
  a, b = clean(a), clean(b)
  bare_a, bare_b = (_NAME.sub("", text).removesuffix("%") for text in (a, b))
  one_has = (bare_a != a) != (bare_b != b)
  return one_has and key(bare_a) == key(bare_b) is not None
