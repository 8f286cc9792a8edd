"""Removes from LaTeX what only changes the look of an answer."""

import functools
import re

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


@functools.lru_cache(maxsize=1 << 14)
def clean(text: str) -> str:
  r"""Returns an answer without what only changes its look: \left, \!, $ ...

  Args:
    text: an answer as written.

  Returns:
    LaTeX, with \frac and \sqrt before braces.
  """
  text = " ".join(text.translate(_CHARACTERS).split())
  for pattern, by in _REPLACED:
    text = pattern.sub(by, text)
  return " ".join(text.split()).rstrip(".,;: ")
