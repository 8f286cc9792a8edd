"""Points of a response, and requirements in the form of the authors' data."""

import functools
import json
from collections.abc import Mapping
from typing import NamedTuple

from rlvr_jax.verify.light_if import chinese, english

_ENGLISH = "jqzl-en"  # the source of English rows
_WHOLE = frozenset(
  "num_highlights low_word_cnt max_word_cnt num_placeholders num_bullets "
  "low_capital_cnt max_capital_cnt num_sentences sentences_style "
  "low_letter_num max_letter_num paragraphs_num nth_paragraph topic_style "
  "paragraphs_split sentence_num max_topic_word_cnt".split()
)
_TEXT = frozenset(
  "letter paragraphs end_phrase first_word begin_content end_content".split()
)


class Requirement(NamedTuple):
  """What a prompt asks for."""

  prompt: str
  asked: Mapping[str, object]  # numbers and texts of rules, by name
  is_english: bool  # else Chinese


class Score(NamedTuple):
  """What a response earns."""

  points: float
  possible: float  # the most points that the requirement gives
  all_kept: bool

  @property
  def reward(self) -> float:
    """Points and one for all rules, as a share of the most there is.

    For the responses to one prompt that is the authors' reward but for a
    factor, and 1 exactly if all rules are kept.
    """
    return (self.points + self.all_kept) / (self.possible + 1)


@functools.lru_cache(maxsize=4096)
def parse(reference: str) -> Requirement:
  """Returns the requirement of a reference.

  Args:
    reference: JSON of an object: `query`, the prompt; `jqzl_prompt`, an object
      of the rules' numbers and texts; `source`, "jqzl-en" for English.

  Raises:
    ValueError: it has not this form, or no response could be scored by it.
  """
  try:
    row = json.loads(reference)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"not JSON: {error}") from error
  asked = row.get("jqzl_prompt") if isinstance(row, dict) else None
  if not isinstance(asked, dict) or not isinstance(row.get("query"), str):
    raise ValueError(
      "must have a text `query` and an object `jqzl_prompt`; checkers in code "
      "are not run"
    )
  asked = {name: value for name, value in asked.items() if value is not None}
  _check(asked)
  found = Requirement(row["query"], asked, row.get("source") == _ENGLISH)
  if not score("", found).possible:
    raise ValueError(f"asks for nothing: {sorted(asked)}")
  return found


def score(article: str, requirement: Requirement) -> Score:
  """Returns what a response earns.

  Args:
    article: the response, without its thoughts and outer blanks.
    requirement: of `parse`.
  """
  prompt, asked, is_english = requirement
  if is_english:
    rules = list(english.rules(article, prompt, asked))
  else:
    rules = list(chinese.rules(article, asked))
  points = sum(points for kept, points in rules if kept)
  possible = sum(points for _, points in rules)
  return Score(points, possible, all(kept for kept, _ in rules))


def _check(asked: Mapping[str, object]) -> None:
  for name, value in asked.items():
    whole = isinstance(value, int) and not isinstance(value, bool)
    if name in _WHOLE and not whole:
      raise ValueError(f"{name} = {value!r:.80} must be a whole number")
    if name in _TEXT and not isinstance(value, str):
      raise ValueError(f"{name} = {value!r:.80} must be text")
  words, bounds = asked.get("keywords", []), asked.get("keywords_num", [])
  if not _all(words, str) or not _all(bounds, list):
    raise ValueError(
      f"keywords = {words!r:.80} must be texts, and keywords_num = "
      f"{bounds!r:.80} pairs of whole numbers"
    )
  for pair in bounds:
    if len(pair) != 2 or not _all(pair, int):
      raise ValueError(f"keywords_num: {pair!r:.80} must be two whole numbers")
  nth = asked.get("nth_paragraph", -1) > 0 and asked.get("first_word")
  if nth and not asked.get("paragraphs"):
    raise ValueError("nth_paragraph needs what divides them in `paragraphs`")


def _all(values: object, kind: type) -> bool:
  return isinstance(values, list) and all(isinstance(v, kind) for v in values)
