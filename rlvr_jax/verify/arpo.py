"""The reward of ARPO for responses that use tools, arXiv 2507.19849."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from rlvr_jax.verify import formats
from rlvr_jax.verify.words import f1

BAD_FORM = -1.0
BOTH_TOOLS = 0.1


class Score(NamedTuple):
  """What a response earns."""

  reward: float  # -1, or in [0, 1.1]
  f1: float  # of its words, in [0, 1]


def parse(reference: str) -> tuple[str, ...]:
  """Returns the right answers of a reference.

  Args:
    reference: one answer, or JSON of a list of answers each of which is right.

  Raises:
    ValueError: there is none, or one without words, which nothing can equal.
  """
  answers = _listed(reference)
  if not answers or not all(f1(answer, answer) for answer in answers):
    raise ValueError(
      f"{reference!r:.80} must be an answer with a word in it, or a list of "
      "them"
    )
  return answers


def score(text: str, references: Sequence[str]) -> Score:
  """Returns what a response earns.

  -1 where it has not the form of `formats.tools_and_answer`; else the F1 of the
  words in its box with those of the nearest reference, and 0.1 more if that is
  above 0 and the response calls both tools.

  Args:
    text: the response, with the results that the tools put into it.
    references: right answers, of `parse`.
  """
  if not formats.tools_and_answer(text):
    return Score(BAD_FORM, 0.0)
  answer = formats.answer_box(text)
  likeness = max(f1(answer, reference) for reference in references)
  both = "</search>" in text and "</python>" in text
  return Score(likeness + BOTH_TOOLS * (both and likeness > 0), likeness)


def _listed(reference: str) -> tuple[str, ...]:
  """The answers of a list; a text that is none is an answer."""
  try:
    found = json.loads(reference)
  except (ValueError, RecursionError):
    return (reference,)
  if not isinstance(found, list):
    return (reference,)
  texts = all(isinstance(answer, str) for answer in found)
  return tuple(found) if texts else ()
