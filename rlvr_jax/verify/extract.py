r"""Finds the answer that a response gives.

A response says where its answer is; the first of these marks that it has
decides, the later ones are not looked at:

1. the last `\boxed{...}`;
2. what stands behind the last "Answer:", up to the end of its line;
3. the last "#### number", the mark of GSM8K.

A lenient extractor takes the last number of a response without any mark. That
is a guess: a policy can be right by it without having meant to answer.
"""

import collections
import re

# Characters at the end of a response that are read: whoever answers and then
# goes on for longer has not ended with an answer.
TAIL = 4096

_BOX = "\\boxed"
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # skips the braces of sets: \{ \}
_LINE = re.compile(r"answer\**[ \t]*:", re.IGNORECASE | re.ASCII)
_HASHES = re.compile(r"####[ \t]*(-?\$?\.?[0-9][0-9,.]*%?)")
_NUMBER = re.compile(
  r"(?:(?<![\w)}\]])-)?"  # not the minus of a difference
  r"(?:[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?|\.[0-9]+)"
  r"(?:/[0-9]+)?%?"
)


def answer(text: str, strict: bool = True) -> str | None:
  r"""Returns the answer of a response as it is written there.

  Args:
    text: the response. Where it closes a thinking tag, only what follows the
      last `</think>` counts; a tag that stays open has no answer behind it.
    strict: demand a mark; else fall back on the last number.

  Returns:
    The answer without outer spaces, never empty; None where there is none. The
    last box decides alone: empty or unclosed, it is no answer.
  """
  text = final(text)
  if text is None:
    return None
  tail = text[-TAIL:]
  marks = (_boxed, _line, _hashed)
  for find in marks if strict else (*marks, _number):
    found = find(tail)
    if found is not None:
      return found.strip() or None
  return None


def final(text: str) -> str | None:
  """Returns what follows the thoughts of a response.

  Args:
    text: the response.

  Returns:
    What follows the last `</think>`, all of it if there is none; None if a
    `<think>` stays open.
  """
  text = text.rpartition("</think>")[2]
  return None if "<think>" in text else text


def tagged(text: str) -> str | None:
  """Returns the answer between the last tags of `<answer>...</answer>`.

  Args:
    text: the response; only what follows its thoughts counts.

  Returns:
    The answer without outer spaces, never empty; None where there is none, or
    more than `TAIL` characters of it.
  """
  text = final(text) or ""
  end = text.rfind("</answer>")
  start = text.rfind("<answer>", 0, max(end, 0))
  found = text[start + len("<answer>") : end].strip() if start >= 0 else ""
  return found if 0 < len(found) <= TAIL else None


def boxed(text: str) -> str | None:
  """Returns what the last box of a text holds, wherever it stands.

  Args:
    text: any.

  Returns:
    The content as it is written, which may be empty; None if there is no box,
    or if the last one is not closed.
  """
  start = text.rfind(_BOX + "{")
  if start < 0:
    return None
  start += len(_BOX)
  depth = 0
  for brace in _BRACE.finditer(text, start):
    depth += {"{": 1, "}": -1}.get(brace[0], 0)
    if depth == 0:
      return text[start + 1 : brace.start()]
  return None


def _boxed(text: str) -> str | None:
  """The last box; "" if it is not closed, None if there is none."""
  return boxed(text) or "" if _BOX + "{" in text else None


def _line(text: str) -> str | None:
  mark = _last(_LINE, text)
  if mark is None:
    return None
  return text[mark.end() :].lstrip("* \t\r\n").partition("\n")[0].strip("* \t")


def _hashed(text: str) -> str | None:
  mark = _last(_HASHES, text)
  return mark and mark[1]


def _number(text: str) -> str | None:
  number = _last(_NUMBER, text)
  return number and number[0]


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
  last = collections.deque(pattern.finditer(text), maxlen=1)
  return last[0] if last else None
