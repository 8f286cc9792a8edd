"""Finds problems of the evaluation among those to learn from."""

import collections
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

Run = tuple[str, ...]  # consecutive words
# Where words stand, by the number of their question.
_Places = collections.defaultdict[int, set[int]]

# Letters and digits: "x_1" is the two words of "x_{1}".
_WORD = re.compile(r"[^\W_]+")
# Words in a run of this length that half of a dataset's questions share are its
# instruction ("Put your answer in ..."), not its problems.
_INSTRUCTION = 5
# A run in more questions than this is a phrase ("where m and n are relatively
# prime positive integers"), and gives no problem away.
_PHRASE = 10
# So much of a question of the evaluation, in runs, gives it away. Questions of
# one kind share less, a question with other numbers or another way to write
# the answer shares more.
_SHARE = 0.4


def normalised(text: str) -> str:
  """Returns the text with accents composed and blanks between words single.

  Case and punctuation count: "2 + 3" and "2 - 3" are two questions.
  """
  return " ".join(unicodedata.normalize("NFC", text).split())


class HeldOut:
  """The questions of the evaluation, to be found in others."""

  def __init__(self, questions: Mapping[str, Sequence[str]], length: int):
    """Notes where their runs of words stand.

    Args:
      questions: distinct ones, by dataset.
      length: of the runs, words; 0 finds nothing at all.
    """
    self._length = length
    everything = questions.values() if length else ()
    self._exact = frozenset(
      normalised(text) for texts in everything for text in texts
    )
    # Of each question the words, None where they are of an instruction.
    self._worded = [
      words
      for texts in everything
      for words in _without_instruction([_words(text) for text in texts])
    ]
    # In which question, and at which of its words, a run begins.
    self._places = collections.defaultdict(list)
    for number, words in enumerate(self._worded):
      for place, run in enumerate(_runs(words, length)):
        if None not in run:
          self._places[run].append((number, place))

  def has(self, question: str) -> bool:
    """Whether the evaluation asks this very question."""
    return normalised(question) in self._exact

  def runs_in(self, question: str) -> frozenset[Run]:
    """Returns the runs of the evaluation that a question holds."""
    runs = _runs(_words(question), self._length)
    return frozenset(run for run in runs if run in self._places)

  def held_by(self, found: Sequence[frozenset[Run]]) -> list[str]:
    """Tells which questions to learn from hold one of the evaluation.

    Their runs make up 40 % of its words. Words of phrases and instructions
    do not count, as if the question were without them.

    Args:
      found: `runs_in` of all distinct questions to learn from, one by one.

    Returns:
      For each the words of the question that it holds; "" if it holds none.
    """
    counts = collections.Counter(run for runs in found for run in runs)
    phrases = frozenset(run for run, n in counts.items() if n > _PHRASE)
    idle = self._words_of(phrases)
    return [self._held(self._words_of(runs - phrases), idle) for runs in found]

  def _held(self, shared: _Places, idle: _Places) -> str:
    for number, places in shared.items():
      words = self._worded[number]
      count = len(places - idle[number])
      all_that_count = len(words) - words.count(None) - len(idle[number])
      if count and count >= _SHARE * all_that_count:
        return " ".join(filter(None, words))
    return ""

  def _words_of(self, runs: Iterable[Run]) -> _Places:
    """The words that the runs are made of."""
    words = collections.defaultdict(set)
    for run in runs:
      for number, place in self._places[run]:
        words[number].update(range(place, place + self._length))
    return words


def _words(text: str) -> list[str]:
  return _WORD.findall(text.casefold())


def _runs(words: Sequence[str | None], length: int) -> Iterable[Run]:
  return zip(*(words[i:] for i in range(length)))


def _without_instruction(
  texts: Sequence[list[str]],
) -> Iterator[list[str | None]]:
  """The words, with None in the place of those of the instruction."""
  counts = collections.Counter(
    run for words in texts for run in set(_runs(words, _INSTRUCTION))
  )
  common = {r for r, n in counts.items() if n >= max(2, len(texts) / 2)}
  for words in texts:
    left = list(words)
    for place, run in enumerate(_runs(words, _INSTRUCTION)):
      if run in common:
        left[place : place + _INSTRUCTION] = [None] * _INSTRUCTION
    yield left
