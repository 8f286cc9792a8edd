r"""Notes of what stands at each token of a response, written on the host."""

import dataclasses
import re
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from rlvr_jax.latent_reward.equations import equations
from rlvr_jax.types import Responses

KINDS = ("digit", "operator", "step", "answer", "format", "arithmetic")

_DIGITS = re.compile(r"[0-9]+")
_SIGNS = re.compile(r"[-+*/=<>^×÷·]+|\\(?:times|cdot|div|frac)")
_ANSWER = re.compile(r"(\\boxed\{)|<answer>|answer\**[ \t]*:", re.IGNORECASE)
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # skips the braces of sets: \{ \}

Span = tuple[int, int, int]  # begin, end, value


@dataclasses.dataclass(frozen=True)
class Mark:
  r"""What stands at a token; i32[B, T], 0 for nothing.

  A token is marked if it shares a character with one of these:
    digit       digits: 1
    operator    signs of arithmetic and relations: 1
    step        the text that ends a step: 1
    answer      `\boxed{...}`, `<answer>...</answer>`, or what stands from
                "Answer:" to the end of its line; 1
    format      all from the last character of the first tag on: 1
    arithmetic  the right side of a finished equation between plain numbers,
                which may begin in the prompt: 1 if it holds, -1 if not

  Attributes:
    of: one of these kinds.
    text: that ends a step, or the tag.
  """

  of: str
  text: str = ""
  shape: ClassVar[Literal["token"]] = "token"

  @property
  def values(self) -> tuple[int, int]:
    """The numbers that may occur."""
    return (-1 if self.of == "arithmetic" else 0), 1

  def annotate(self, responses: Responses) -> np.ndarray:
    """The mark of every token."""
    found = np.zeros((len(responses.pieces), responses.length), np.int32)
    for row, prompt, pieces in zip(found, responses.prompts, responses.pieces):
      ends = np.cumsum([len(piece) for piece in pieces])
      for begin, end, value in self._spans(prompt, "".join(pieces)):
        # Tokens that end behind its begin and begin before its end.
        first = np.searchsorted(ends, begin, side="right")
        last = np.searchsorted(ends, end, side="left")
        row[first : last + 1] = value
    return found

  def _spans(self, prompt: str, text: str) -> Iterator[Span]:
    """Where the text of a response is marked, and with what."""
    if self.of == "arithmetic":
      for begin, end, holds in equations(prompt + text):
        if end > len(prompt):
          begin = max(begin - len(prompt), 0)
          yield begin, end - len(prompt), 1 if holds else -1
    elif self.of == "format":
      begin = text.find(self.text)
      if begin >= 0:
        yield begin + len(self.text) - 1, len(text), 1
    elif self.of == "answer":
      yield from _answers(text)
    else:
      signs = {"digit": _DIGITS, "operator": _SIGNS}
      pattern = signs.get(self.of) or re.compile(re.escape(self.text))
      for match in pattern.finditer(text):
        yield *match.span(), 1


def _answers(text: str) -> Iterator[Span]:
  """Answers that do not lie in one another; an open one ends the text."""
  place = 0
  while mark := _ANSWER.search(text, place):
    if mark[1]:
      place = _closed(text, mark.end())
    else:
      close = "</answer>" if mark[0].startswith("<") else "\n"
      found = text.find(close, mark.end())
      place = len(text) if found < 0 else found + len(close.strip())
    yield mark.start(), place, 1


def _closed(text: str, begin: int) -> int:
  """Behind the brace that closes the one before `begin`."""
  depth = 1
  for brace in _BRACE.finditer(text, begin):
    depth += {"{": 1, "}": -1}.get(brace[0], 0)
    if depth == 0:
      return brace.end()
  return len(text)
