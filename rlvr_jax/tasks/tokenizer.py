"""What a task asks of a tokenizer, and a tokenizer of single characters."""

import dataclasses
from collections.abc import Iterable
from typing import Protocol


class Tokenizer(Protocol):
  """Text to token ids and back; called from several threads at once."""

  @property
  def vocab_size(self) -> int:
    """Number of token ids; every id lies in [0, vocab_size)."""
    ...

  @property
  def pad_id(self) -> int:
    """Id that fills unused positions; `decode` skips it.

    It may be one of `stop_ids`, so only masks tell what is padding.
    """
    ...

  @property
  def stop_ids(self) -> tuple[int, ...]:
    """Ids that end a response, at least one; `decode` stops before them."""
    ...

  @property
  def eos_id(self) -> int:
    """The first of `stop_ids`, with which a demonstration ends."""
    ...

  def encode(self, text: str) -> list[int]:
    """Returns the ids of `text`; nothing is put before or after it."""
    ...

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the text of the ids before the first stop id, pad skipped.

    Blanks at either end stay: single tokens, decoded and joined, must give the
    words of the text.
    """
    ...


@dataclasses.dataclass(frozen=True)
class CharTokenizer:
  """One token per character; id 0 is pad, id 1 is eos.

  Attributes:
    alphabet: the characters, each once; character i has id i + 2.

  Raises:
    ValueError: the alphabet is empty or has a character twice.
  """

  alphabet: str

  def __post_init__(self):
    if not self.alphabet:
      raise ValueError(
        "CharTokenizer.alphabet is empty; give at least one character."
      )
    twice = sorted({c for c in self.alphabet if self.alphabet.count(c) > 1})
    if twice:
      raise ValueError(
        f"CharTokenizer.alphabet = {self.alphabet!r} has {twice} more than "
        "once; give each character once."
      )

  @property
  def vocab_size(self) -> int:
    """Number of ids: pad, eos and the characters."""
    return len(self.alphabet) + 2

  @property
  def pad_id(self) -> int:
    """Always 0."""
    return 0

  @property
  def stop_ids(self) -> tuple[int, ...]:
    """Always (1,)."""
    return (1,)

  @property
  def eos_id(self) -> int:
    """Always 1."""
    return 1

  def encode(self, text: str) -> list[int]:
    """Returns one id per character of `text`, without pad and eos.

    Args:
      text: characters of the alphabet only; may be empty.

    Returns:
      Ids in [2, vocab_size), as many as `text` has characters.

    Raises:
      ValueError: a character is not in the alphabet.
    """
    places = [self.alphabet.find(character) for character in text]
    if -1 in places:
      unknown = text[places.index(-1)]
      raise ValueError(
        f"Character {unknown!r} of {text!r} is not in the alphabet "
        f"{self.alphabet!r}; add it to CharTokenizer.alphabet."
      )
    return [place + 2 for place in places]

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the characters of the ids before the first eos, pad skipped.

    Args:
      ids: Python or numpy integers in [0, vocab_size).

    Returns:
      The text; empty when the first id that is not pad is eos.

    Raises:
      ValueError: an id before the first eos is outside [0, vocab_size).
    """
    text = ""
    for token in ids:
      if token == self.eos_id:
        break
      if token != self.pad_id:
        text += self._character(token)
    return text

  def _character(self, token: int) -> str:
    if not 0 <= token < self.vocab_size:
      raise ValueError(
        f"Token id {token} must lie in [0, {self.vocab_size}); give the model "
        "the vocabulary size of its tokenizer."
      )
    return self.alphabet[token - 2]
