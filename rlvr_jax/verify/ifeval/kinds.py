"""The kinds of instructions by the ids of IFEval, and their arguments."""

import difflib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from rlvr_jax.verify.ifeval import language, layout, lengths, words
from rlvr_jax.verify.ifeval.arguments import (
  COUNT,
  LETTER,
  PLACE,
  RELATION,
  TEXT,
  TEXTS,
  Argument,
)

_LANGUAGE = Argument(
  f"one of {sorted(language.LANGUAGES)}",
  lambda x: isinstance(x, str) and x in language.LANGUAGES,
)


class Kind(NamedTuple):
  """A kind of instruction.

  Attributes:
    check: (response, **arguments) to whether it is followed; pure.
    arguments: that the check takes, by name.
  """

  check: Callable[..., bool]
  arguments: Mapping[str, Argument]


def _kind(check: Callable[..., bool], **arguments: Argument) -> Kind:
  return Kind(check, arguments)


KINDS: dict[str, Kind] = {
  "keywords:existence": _kind(words.existence, keywords=TEXTS),
  "keywords:frequency": _kind(
    words.frequency, keyword=TEXT, frequency=COUNT, relation=RELATION
  ),
  "keywords:forbidden_words": _kind(words.no_forbidden, forbidden_words=TEXTS),
  "keywords:letter_frequency": _kind(
    words.letter_frequency,
    letter=LETTER,
    let_frequency=COUNT,
    let_relation=RELATION,
  ),
  "language:response_language": _kind(
    language.response_language, language=_LANGUAGE
  ),
  "length_constraints:number_sentences": _kind(
    lengths.number_sentences, num_sentences=COUNT, relation=RELATION
  ),
  "length_constraints:number_paragraphs": _kind(
    lengths.number_paragraphs, num_paragraphs=COUNT
  ),
  "length_constraints:number_words": _kind(
    lengths.number_words, num_words=COUNT, relation=RELATION
  ),
  "length_constraints:nth_paragraph_first_word": _kind(
    lengths.nth_paragraph_first_word,
    num_paragraphs=PLACE,
    nth_paragraph=PLACE,
    first_word=TEXT,
  ),
  "detectable_content:number_placeholders": _kind(
    layout.number_placeholders, num_placeholders=COUNT
  ),
  "detectable_content:postscript": _kind(
    layout.postscript, postscript_marker=TEXT
  ),
  "detectable_format:number_bullet_lists": _kind(
    layout.number_bullets, num_bullets=COUNT
  ),
  "detectable_format:constrained_response": _kind(layout.constrained_response),
  "detectable_format:number_highlighted_sections": _kind(
    layout.number_highlights, num_highlights=COUNT
  ),
  "detectable_format:multiple_sections": _kind(
    layout.multiple_sections, section_spliter=TEXT, num_sections=COUNT
  ),
  "detectable_format:json_format": _kind(layout.json_format),
  "detectable_format:title": _kind(layout.title),
  "combination:two_responses": _kind(layout.two_responses),
  "combination:repeat_prompt": _kind(
    layout.repeat_prompt, prompt_to_repeat=TEXT
  ),
  "startend:end_checker": _kind(layout.end_phrase, end_phrase=TEXT),
  "startend:quotation": _kind(layout.quotation),
  "change_case:capital_word_frequency": _kind(
    words.capital_words, capital_frequency=COUNT, capital_relation=RELATION
  ),
  "change_case:english_capital": _kind(language.english_capital),
  "change_case:english_lowercase": _kind(language.english_lowercase),
  "punctuation:no_comma": _kind(words.no_comma),
}
_TELL_LANGUAGE = frozenset(
  {
    "language:response_language",
    "change_case:english_capital",
    "change_case:english_lowercase",
  }
)


def check_arguments(name: str, arguments: Mapping[str, object]) -> str | None:
  """Returns why no response could be checked for an instruction, or None.

  To be asked of every instruction when data are loaded.

  Args:
    name: id of the kind.
    arguments: of the instruction, by name.
  """
  if name not in KINDS:
    near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.0)[0]
    return f"there is no instruction {name!r}; the nearest is {near!r}"
  if name in _TELL_LANGUAGE and not language.available():
    return f"{name} {language.INSTALL}"
  wanted = KINDS[name].arguments
  if arguments.keys() != wanted.keys():
    return f"{name} takes {sorted(wanted)}, but {sorted(arguments)} are given"
  for argument, value in arguments.items():
    if not wanted[argument].fits(value):
      allowed = wanted[argument].allowed
      return f"{name}: {argument} = {value!r:.80} must be {allowed}"
  return None
