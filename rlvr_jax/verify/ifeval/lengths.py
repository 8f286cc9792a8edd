"""Checks of how many sentences, paragraphs and words there are."""

import re

from rlvr_jax.verify.ifeval.arguments import holds

_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_HEAD = re.compile(r"[^.,?!'\"]*")  # of a word, up to its punctuation
_WIDE_ENDS = ("。", "！", "？")  # no blank follows these
_ENDS = (".", "!", "?", "…", *_WIDE_ENDS)
_CLOSING = "\"'”’»)]}*_"
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+")  # "J." and "e.g." end no sentence
_TITLES = frozenset(
  "mr. mrs. ms. dr. prof. sr. jr. st. vs. gen. col. capt. lt. sen. rep. rev. "
  "gov. hon. fig. approx. dept. est.".split()
)


def number_words(text: str, *, num_words: int, relation: str) -> bool:
  """Returns whether there are so many runs of letters and digits."""
  return holds(len(re.findall(r"\w+", text)), relation, num_words)


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
  """Returns whether there are so many sentences, see `count_sentences`."""
  return holds(count_sentences(text), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
  """Returns whether "***" divides the text into so many paragraphs.

  A divider may stand before the first and after the last of them, but two
  dividers with nothing between them divide nothing.
  """
  filled = [bool(piece.strip()) for piece in _DIVIDER.split(text)]
  return all(filled[1:-1]) and sum(filled) == num_paragraphs


def nth_paragraph_first_word(
  text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
  """Returns whether there are so many paragraphs, and how one of them begins.

  Paragraphs have an empty line between them. Blank ones do not count to their
  number, but have a place among them, as in the published benchmark.
  """
  pieces = text.split("\n\n")
  count = sum(bool(piece.strip()) for piece in pieces)
  if count != num_paragraphs or nth_paragraph > count:
    return False
  words = pieces[int(nth_paragraph) - 1].split()
  if not words:
    return False
  head = _HEAD.match(words[0].lstrip("'\""))[0]
  return head.lower() == first_word.strip().lower()


def count_sentences(text: str) -> int:
  """Returns the number of sentences.

  A sentence ends in one of .!?… before a blank; what is left over at the end
  is one, too. Initials, titles such as "Dr." and numbers of lists end none.

  Args:
    text: in any language that writes so, or with the wide 。！？.
  """
  for end in _WIDE_ENDS:
    text = text.replace(end, end + " ")
  count, begun = 0, False
  for word in text.split():
    bare = word.rstrip(_CLOSING)
    if not begun and bare.endswith(".") and bare[:-1].isdecimal():
      continue
    begun = begun or any(map(str.isalnum, bare))
    if begun and bare.endswith(_ENDS) and not _abbreviated(bare):
      count, begun = count + 1, False
  return count + begun


def _abbreviated(word: str) -> bool:
  return word.lower() in _TITLES or _INITIALS.fullmatch(word) is not None
