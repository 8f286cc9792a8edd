"""Notes: what only the text of a response tells, written on the host.

A method asks for one like for any statistic, `Need(Answer(), when="rollout")`,
and finds it by `context.stat`. Each is a frozen dataclass with the attributes
and the function of `types.Note`; a new one may live in a method's own file.
"""

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from rlvr_jax.types import Need, Responses


@dataclasses.dataclass(frozen=True)
class Answer:
  """Which rows of a group gave the same final answer; i32[B].

  Equal answers of a group have equal numbers >= 0; numbers of two groups say
  nothing about each other. -1 where a response holds no answer. The task says
  which are equal: of one canonical form, or what its `agree` finds.
  """

  shape: ClassVar[Literal["row"]] = "row"
  values: ClassVar[tuple[int, int]] = (-1, 3)

  def annotate(self, responses: Responses) -> np.ndarray:
    """The number of the first row of the group with that answer."""
    first, found = {}, []
    for row, (group, answer) in enumerate(
      zip(responses.group.tolist(), responses.answers)
    ):
      known = first.setdefault((group, answer), row)
      found.append(-1 if answer is None else known)
    return np.array(found, np.int32)


ANSWER = Need(Answer(), when="rollout")


@dataclasses.dataclass(frozen=True)
class Unreadable:
  """Whether a response holds bytes that are no text; i32[B] of 0 and 1.

  Decoding writes U+FFFD in their place.
  """

  shape: ClassVar[Literal["row"]] = "row"
  values: ClassVar[tuple[int, int]] = (0, 1)

  def annotate(self, responses: Responses) -> np.ndarray:
    """1 for responses that hold such bytes."""
    return np.array(["\ufffd" in text for text in responses.texts], np.int32)


@dataclasses.dataclass(frozen=True)
class Hashed:
  """A number of what a row says, the same in every step and run; i32[B].

  Equal texts have equal numbers. Different ones may: of n texts about
  n^2 / (2 size) pairs do. -1 where there is nothing to hash.

  Attributes:
    of: "answer"; "prompt"; "prompt_answer", the answer to that prompt; or
      "grams", the least hash of `gram` consecutive words of the response,
      which two responses share with the probability that a gram of either is
      one of both.
    size: numbers lie in [0, size), at most 2^30.
    gram: words of one; a shorter response is one gram.
  """

  of: str = "answer"
  size: int = 2**24
  gram: int = 3
  shape: ClassVar[Literal["row"]] = "row"

  @property
  def values(self) -> tuple[int, int]:
    """The numbers that may occur."""
    return -1, self.size - 1

  def annotate(self, responses: Responses) -> np.ndarray:
    """The number of each row."""
    rows = zip(responses.prompts, responses.texts, responses.answers)
    found = [self._of(*row) for row in rows]
    return np.array([-1 if x is None else x % self.size for x in found], "i4")

  def _of(self, prompt: str, text: str, answer: str | None) -> int | None:
    if self.of == "prompt":
      return _hash(prompt)
    if self.of == "grams":
      return min(map(_hash, _shingles(words(text), self.gram)), default=None)
    if answer is None:
      return None
    return _hash(answer) if self.of == "answer" else _hash(prompt, answer)


def _hash(*texts: str) -> int:
  """64 bits of texts; Python's own differ from run to run."""
  whole = "\0".join(texts).encode("utf-8", "backslashreplace")
  return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "big")


_WORD = re.compile(r"[a-z']+|[0-9]+", re.IGNORECASE | re.ASCII)

Gram = tuple[str, ...]  # consecutive words, in lower case


def words(text: str) -> Gram:
  """The words of a text, in lower case: runs of letters, or of digits."""
  return tuple(word.lower() for word in _WORD.findall(text))


def _shingles(found: Gram, size: int) -> Iterator[str]:
  """All runs of so many words; all words if they are fewer, none of none."""
  for first in range(max(len(found) - size, 0) + 1 if found else 0):
    yield " ".join(found[first : first + size])


@functools.lru_cache
def read_grams(path: str) -> frozenset[Gram]:
  """The grams of a text file, one to a line; read once.

  Raises:
    ValueError: the file holds none.
    OSError: there is no such file.
  """
  lines = pathlib.Path(path).read_text().splitlines()
  grams = frozenset(filter(None, map(words, lines)))
  if not grams:
    raise ValueError(f"{path} holds no gram; write one to a line.")
  return grams


def matches(found: Gram, grams: frozenset[Gram]) -> Iterator[range]:
  """Where grams stand in a text of these words; they may overlap."""
  for size in sorted({len(gram) for gram in grams}):
    for first in range(len(found) - size + 1):
      if found[first : first + size] in grams:
        yield range(first, first + size)


@dataclasses.dataclass(frozen=True)
class StrategicGrams:
  """Which tokens belong to a gram of a list; i32[B, T] of 0 and 1.

  A token is marked if it shares a character with a word of any gram that
  matches, so a token that begins inside one and ends behind it is.

  Attributes:
    path: text file of grams, one to a line.
  """

  path: str
  shape: ClassVar[Literal["token"]] = "token"
  values: ClassVar[tuple[int, int]] = (0, 1)

  def annotate(self, responses: Responses) -> np.ndarray:
    """1 for tokens that overlap a word of a matching gram."""
    grams = read_grams(self.path)
    found = np.zeros((len(responses.pieces), responses.length), np.int32)
    for row, pieces in zip(found, responses.pieces):
      row[: len(pieces)] = _planning(pieces, grams)
    return found


def _planning(pieces: list[str], grams: frozenset[Gram]) -> np.ndarray:
  """bool[len(pieces)]: which pieces of one text overlap a matching gram."""
  text = "".join(pieces)
  spans = [match.span() for match in _WORD.finditer(text)]
  inside = np.zeros(len(text), bool)
  for places in matches(words(text), grams):
    for place in places:
      inside[slice(*spans[place])] = True
  ends = np.cumsum([len(piece) for piece in pieces])
  starts = np.concatenate([[0], ends[:-1]]).astype(int)
  return np.array([inside[a:b].any() for a, b in zip(starts, ends)], bool)
