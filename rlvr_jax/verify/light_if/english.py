"""The rules of Light-IF for English."""

import re
from collections.abc import Iterator, Mapping

from rlvr_jax.verify.light_if import counts
from rlvr_jax.verify.light_if.counts import Rule

# Part of prompts that ask to be repeated, but not itself to be repeated.
_REPEAT = (
  "First repeat the request word for word without change, then give your "
  "answer (1. do not say any words or characters before repeating the request; "
  "2. the request you need to repeat does not include this sentence)."
)
_HIGHLIGHT = re.compile(r"\*[^*]+\*|_[^_]+_")
_PLACEHOLDER = re.compile(r"\[[^\[\]]+\]")
_DIVIDERS = ("\n\n", "\n\n\n", "***")
_NO_LETTER_BOUND = -100
_FEWER, _EXACTLY, _MORE = -1, 0, 1


def rules(
  article: str, prompt: str, asked: Mapping[str, object]
) -> Iterator[Rule]:
  """Yields the rules of a requirement, in the order of the authors.

  Args:
    article: the response.
    prompt: that it answers.
    asked: the requirement, by the authors' names.
  """
  if asked.get("prompt_to_repeat", -1) != -1:
    prompt = prompt.replace(_REPEAT, "").strip()
    yield article.startswith(prompt), 0.1
    article = article.replace(prompt, "").strip()
  yield from _marks(article, asked)
  yield from counts.length(len(re.findall(r"\w+", article)), asked)
  yield from _capitals(article, asked)
  yield from counts.keywords(article, asked)
  yield from _sentences(article, asked)
  yield from _letters(article, asked)
  yield from _paragraphs(article, asked)


def _marks(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  number = asked.get("num_highlights", -1)
  if number > 0:
    yield len(_HIGHLIGHT.findall(article)) >= number, 0.05
  number = asked.get("num_placeholders", -1)
  if number > 0:
    yield len(_PLACEHOLDER.findall(article)) >= number, 0.05
  number = asked.get("num_bullets", -1)
  if number > 0:
    lines = article.split("\n")
    yield sum(line.startswith("* ") for line in lines) == number, 0.1


def _capitals(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  words = article.split()
  count = sum(word.isupper() and len(word) >= 2 for word in words)
  low, high = (asked.get(f"{x}_capital_cnt", -1) for x in ("low", "max"))
  yield from counts.bounded(count, low, high)


def _sentences(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  number = asked.get("num_sentences", -1)
  if number <= 0:
    return
  count = sum(bool(s.strip()) for s in re.split("[.!?]", article))
  style = asked.get("sentences_style", _FEWER)
  if style == _FEWER:
    yield count < number, 0.05
  elif style == _EXACTLY:
    yield count == number, 0.2
  elif style == _MORE:
    yield count > number, 0.05


def _letters(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  letter = asked.get("letter", "")
  low = asked.get("low_letter_num", -1)
  high = asked.get("max_letter_num", _NO_LETTER_BOUND)
  if not letter:
    return
  count = article.count(letter)
  if low > 0:
    yield count >= low, 0.05
  elif high > 0:
    yield count <= high, 0.05
  elif high < 0 and high != _NO_LETTER_BOUND:
    yield count == 0, 0.2


def _paragraphs(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  divider = asked.get("paragraphs", "")
  pieces = article.split(divider) if divider else [article]
  pieces = [piece for piece in pieces if piece.strip()]
  number = asked.get("paragraphs_num", -1)
  if number > 0 and divider in _DIVIDERS:
    yield len(pieces) == number, 0.1
  end = asked.get("end_phrase", "")
  if end:
    yield article.endswith(end), 0.1
  place, word = asked.get("nth_paragraph", -1), asked.get("first_word", "")
  if place > 0 and word:
    yield any(p.startswith(word) for p in pieces[place - 1 : place]), 0.1
