"""Finds problems of the evaluation among those to learn from."""

import collections
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

Run = tuple[str, ...]  # consecutive words

_WORD = re.compile(r"\w+")
# Words in a run of this length that half of a dataset's questions share are its
# instruction ("Put your answer in ..."), not its problems.
_INSTRUCTION = 5
# A run in more questions than this is a phrase ("where m and n are relatively
# prime positive integers"), and gives no problem away.
_PHRASE = 10


def normalised(text: str) -> str:
  """Returns the text with accents composed and blanks between words single.

  Case and punctuation count: "2 + 3" and "2 - 3" are two questions.
  """
  return " ".join(unicodedata.normalize("NFC", text).split())


class HeldOut:
  """The questions of the evaluation, to be found in others."""

  def __init__(self, questions: Mapping[str, Sequence[str]], length: int):
    """Collects their runs of words.

    Args:
      questions: distinct ones, by dataset.
      length: of the runs, words; 0 finds nothing at all.
    """
    self._length = length
    everything = questions if length else {}
    self._exact = frozenset(
      normalised(text) for texts in everything.values() for text in texts
    )
    self._runs = frozenset(
      run
      for texts in everything.values()
      for words in _without_instruction([_words(text) for text in texts])
      for run in _runs(words, length)
    )

  def has(self, question: str) -> bool:
    """Whether the evaluation asks this very question."""
    return normalised(question) in self._exact

  def runs_in(self, question: str) -> frozenset[Run]:
    """Returns the runs of the evaluation that a question holds."""
    return self._runs.intersection(_runs(_words(question), self._length))


def telling(found: Iterable[frozenset[Run]]) -> frozenset[Run]:
  """Returns the runs that give a problem away, for they are no phrases.

  Args:
    found: those of all distinct questions to learn from, one by one.
  """
  counts = collections.Counter(run for runs in found for run in runs)
  return frozenset(run for run, n in counts.items() if n <= _PHRASE)


def _words(text: str) -> list[str]:
  return _WORD.findall(text.casefold())


def _runs(words: Sequence[str], length: int) -> Iterable[Run]:
  return zip(*(words[i:] for i in range(length)))


def _without_instruction(texts: Sequence[list[str]]) -> Iterable[list[str]]:
  """The stretches of words that are left between instructions."""
  counts = collections.Counter(
    run for words in texts for run in set(_runs(words, _INSTRUCTION))
  )
  common = {r for r, n in counts.items() if n >= max(2, len(texts) / 2)}
  for words in texts:
    stretch, skip = [], 0
    for place, word in enumerate(words):
      if tuple(words[place : place + _INSTRUCTION]) in common:
        skip = _INSTRUCTION
      if skip:
        yield stretch
        stretch, skip = [], skip - 1
      else:
        stretch.append(word)
    yield stretch
