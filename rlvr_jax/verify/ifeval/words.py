"""Checks of words and letters. A keyword is literal text, not a pattern."""

import re
from collections.abc import Sequence

from rlvr_jax.verify.ifeval.arguments import holds

_WORD = re.compile(r"\w+(?:[-'’.&]\w+)*")


def existence(text: str, *, keywords: Sequence[str]) -> bool:
  """Returns whether all keywords are there, in any case."""
  text = text.lower()
  return all(keyword.lower() in text for keyword in keywords)


def frequency(
  text: str, *, keyword: str, frequency: int, relation: str
) -> bool:
  """Returns whether a keyword is there so many times, in any case."""
  return holds(text.lower().count(keyword.lower()), relation, frequency)


def no_forbidden(text: str, *, forbidden_words: Sequence[str]) -> bool:
  """Returns whether none of the words is there, in any case."""
  anyhow = re.IGNORECASE
  return not any(
    re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, anyhow)
    for word in forbidden_words
  )


def letter_frequency(
  text: str, *, letter: str, let_frequency: int, let_relation: str
) -> bool:
  """Returns whether a letter is there so many times, in any case."""
  count = text.lower().count(letter.lower())
  return holds(count, let_relation, let_frequency)


def capital_words(
  text: str, *, capital_frequency: int, capital_relation: str
) -> bool:
  """Returns whether so many words are all capitals; "I" is one, and "A-B"."""
  count = sum(word.isupper() for word in _WORD.findall(text))
  return holds(count, capital_relation, capital_frequency)


def no_comma(text: str) -> bool:
  """Returns whether there is no comma."""
  return "," not in text
