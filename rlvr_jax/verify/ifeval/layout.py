"""Checks of how a response is laid out: marks, sections, beginning and end.

Patterns with an opening and a closing mark are looked for by line or piece: a
regular expression would go through the rest of the text from every opening
mark that is never closed.
"""

import json
import re

_CHOICES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")
_POSTSCRIPTS = {
  "P.S.": re.compile(r"p\.\s?s\."),
  "P.P.S": re.compile(r"p\.\s?p\.\s?s"),
}
_ONE_STAR = re.compile(r"\*([^\n*]*)\*")
_TWO_STARS = re.compile(r"\*\*([^\n*]*)\*\*")


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
  """Returns whether there are at least so many of the form "[address]"."""
  closed = (line.split("]")[:-1] for line in text.split("\n"))
  count = sum("[" in piece for pieces in closed for piece in pieces)
  return count >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
  """Returns whether there is a postscript, in any case."""
  text = text.lower()
  spaced = _POSTSCRIPTS.get(postscript_marker)
  if spaced is not None:
    return spaced.search(text) is not None
  return postscript_marker.strip().lower() in text


def number_bullets(text: str, *, num_bullets: int) -> bool:
  """Returns whether exactly so many lines begin with "*" or "-"."""
  lines = [line.lstrip() for line in text.split("\n")]
  return sum(map(_is_bullet, lines)) == num_bullets


def constrained_response(text: str) -> bool:
  """Returns whether one of the three answers allowed is there."""
  return any(choice in text for choice in _CHOICES)


def number_highlights(text: str, *, num_highlights: int) -> bool:
  """Returns whether there are at least so many of the form "*highlight*"."""
  found = _ONE_STAR.findall(text) + _TWO_STARS.findall(text)
  return sum(bool(inner.strip()) for inner in found) >= num_highlights


def multiple_sections(
  text: str, *, section_spliter: str, num_sections: int
) -> bool:
  """Returns whether there are at least so many marks like "Section 1"."""
  mark = re.compile(re.escape(section_spliter.strip()) + r"\s?\d")
  return len(mark.findall(text)) >= num_sections


def json_format(text: str) -> bool:
  """Returns whether the whole is JSON; it may stand in a fence."""
  text = text.strip()
  for fence in _FENCES:
    text = text.removeprefix(fence)
  text = text.removesuffix("```").strip()
  try:
    # Numbers as text: to read a long one takes the square of its length.
    json.loads(text, parse_int=str, parse_float=str)
  except (ValueError, RecursionError):
    return False
  return True


def title(text: str) -> bool:
  """Returns whether there is a title of the form "<<title>>"."""
  return any(map(_has_title, text.split("\n")))


def two_responses(text: str) -> bool:
  """Returns whether "******" divides two responses that differ."""
  pieces = [piece.strip() for piece in text.split("******")]
  filled = [piece for piece in pieces if piece]
  return all(pieces[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
  """Returns whether the text begins with the prompt, in any case."""
  prompt = prompt_to_repeat.strip().lower()
  return text.strip().lower().startswith(prompt)


def end_phrase(text: str, *, end_phrase: str) -> bool:
  """Returns whether the text ends with a phrase, in any case."""
  return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(text: str) -> bool:
  """Returns whether the whole stands in double quotation marks."""
  text = text.strip()
  return len(text) > 1 and text[0] == text[-1] == '"'


def _is_bullet(line: str) -> bool:
  """Of a line without leading blanks; "**" begins bold text, no bullet."""
  starred = line.startswith("*") and line[1:2] not in ("", "*")
  return starred or line.startswith("-")


def _has_title(line: str) -> bool:
  start, end = line.find("<<"), line.rfind(">>")
  if start < 0 or end <= start + 2:
    return False
  return bool(line[start:end].lstrip("<").rstrip(">").strip())
