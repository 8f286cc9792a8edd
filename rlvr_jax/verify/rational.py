"""Reads numbers exactly, in the ways people write them."""

import re
from fractions import Fraction

MAX_DIGITS = 1000  # of a number when written out

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


def number(text: str) -> Fraction | None:
  """Returns the exact value of a number.

  Args:
    text: clean, see `latex.clean`; a decimal, a fraction or a mixed number,
      perhaps with thousands commas, a power of ten or a percent sign.

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
