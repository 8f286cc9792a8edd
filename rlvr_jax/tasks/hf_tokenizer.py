"""A pretrained tokenizer, read from a local folder, with its chat template."""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence

from rlvr_jax.tasks import chat, pretrained

# Special tokens that are part of what a model says: where it thinks.
_THINKING = re.compile("think|thought|reason", re.IGNORECASE)
# Llama 3's own default. With the date of today, a run that goes on tomorrow
# would have other prompts.
_DATE = "26 Jul 2024"


class HFTokenizer:
  """The tokenizer of a pretrained model.

  `encode` adds no special token, but reads those that stand in the text, as in
  rendered prompts. A sentencepiece tokenizer that puts a blank before every
  text gives it back: `decode` keeps all blanks.

  Attributes:
    folder: where it was read from.
    vocab_size: largest token id plus 1, added tokens included. The embedding
      of the model may have more rows, never fewer.
    stop_ids: ids that end a response: the eos of the tokenizer, then those of
      generation_config.json.
    eos_id: the first of them.
    pad_id: the tokenizer's own, else a token that exists to fill, else the
      unknown token, else the eos.
    has_template: whether there is a chat template.
  """

  def __init__(self, folder: str | os.PathLike[str]):
    """Reads a folder; never the network, and no code that lies in it.

    Args:
      folder: with tokenizer.json and, as far as there are any,
        tokenizer_config.json, chat_template.jinja, generation_config.json.

    Raises:
      ValueError: there is no such folder, its tokenizer is code or cannot be
        read, or it has no eos.
    """
    self.folder = pathlib.Path(folder)
    self._tokenizer = pretrained.load(self.folder)
    # Used directly: the wrapper sets padding and truncation with every call,
    # which another thread may be reading.
    self._fast = self._tokenizer.backend_tokenizer
    self._fast.no_padding()
    self._fast.no_truncation()
    self.vocab_size = max(self._fast.get_vocab().values()) + 1
    self.stop_ids = pretrained.stop_ids(
      self.folder, self._tokenizer, self.vocab_size
    )
    self.eos_id = self.stop_ids[0]
    self.pad_id = pretrained.pad_id(self._tokenizer, self.stop_ids, self.eos_id)
    self.has_template = bool(self._tokenizer.chat_template)
    self._silent = self._silent_ids()
    self._bos = self._own_bos()
    # Decoders drop the blank in front of a first token; none is first here.
    self._first = self.encode("a")[-1]
    self._first_length = len(self._fast.decode([self._first]))

  def encode(self, text: str) -> list[int]:
    """Returns the ids of `text`; nothing is put before or after it.

    Args:
      text: special tokens in it are read as such; may be empty.

    Returns:
      Ids in [0, vocab_size).
    """
    return self._fast.encode(text, add_special_tokens=False).ids

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the text of the ids before the first stop id.

    Special tokens are left out, but for those that say where a model thinks,
    and so are ids of embedding rows without a token. Bytes that are no text,
    as of half a character, become U+FFFD.

    Args:
      ids: Python or numpy integers, at least 0.

    Returns:
      The text, with the blanks at its ends.

    Raises:
      ValueError: an id before the first stop id is negative.
    """
    kept = []
    for token in map(int, ids):
      if token in self.stop_ids:
        break
      if token < 0:
        raise ValueError(f"Token id {token} must be >= 0.")
      if token < self.vocab_size and token not in self._silent:
        kept.append(token)
    whole = self._fast.decode([self._first, *kept], skip_special_tokens=False)
    return whole[self._first_length :]

  def render(
    self,
    messages: Sequence[chat.Message],
    *,
    system: str | None = None,
    thinking: bool | None = None,
    template: str = "chat",
  ) -> str:
    """Returns the text that the model is to continue.

    A beginning-of-text token that this tokenizer puts before every text stands
    once at the beginning, whether the template writes it or not.

    Args:
      messages: the last is to be answered.
      system: content of a system message, for messages that begin with none.
      thinking: turns thinking on or off, where the template knows of it; None
        leaves it to the template.
      template: "chat" for that of the tokenizer with the generation prompt at
        the end, or "plain" for the contents alone, as `chat.plain` writes it.

    Returns:
      The text, to be encoded.

    Raises:
      ValueError: there is no template, it refuses the messages, knows nothing
        of thinking, or writes the date of today.
    """
    messages = chat.led(messages, system)
    if template == "plain":
      self._check_thinking(thinking, "")
      text = chat.plain(messages)
    elif template == "chat":
      text = self._templated(messages, thinking)
    else:
      raise ValueError(f"template = {template!r} must be 'chat' or 'plain'.")
    return text if text.startswith(self._bos) else self._bos + text

  def _templated(
    self, messages: Sequence[chat.Message], thinking: bool | None
  ) -> str:
    options = self._template_options(thinking)
    # Template errors are of jinja, and a template may cause any other.
    try:
      return self._tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **options
      )
    except Exception as error:
      raise ValueError(
        f"The chat template in {str(self.folder)!r} cannot write "
        f"{str(messages):.300}: {error}"
      ) from error

  def _template_options(self, thinking: bool | None) -> dict[str, object]:
    if not self.has_template:
      raise ValueError(
        f"The tokenizer in {str(self.folder)!r} has no chat template; choose "
        'template="plain" for the bare text, or put a chat_template.jinja '
        "into the folder."
      )
    source, options = self._tokenizer.get_chat_template(), {}
    self._check_thinking(thinking, source)
    if thinking is not None:
      options |= dict(enable_thinking=thinking, thinking=thinking)
    if "strftime_now" in source:
      if "date_string" not in source:
        raise ValueError(
          f"The chat template in {str(self.folder)!r} writes the date of "
          "today, so prompts would change from day to day; put a fixed date in "
          "the place of strftime_now."
        )
      options["date_string"] = _DATE
    return options

  def _check_thinking(self, thinking: bool | None, source: str) -> None:
    if thinking is not None and "thinking" not in source:
      raise ValueError(
        f"thinking = {thinking}, but the template of {str(self.folder)!r} "
        "knows nothing of it; leave it at None."
      )

  def _silent_ids(self) -> frozenset[int]:
    added = self._tokenizer.added_tokens_decoder
    special = {i for i, token in added.items() if token.special}
    special |= {*self._tokenizer.all_special_ids}
    spoken = {i for i in added if _THINKING.search(added[i].content)}
    return frozenset((special - spoken) | {self.pad_id})

  def _own_bos(self) -> str:
    """The token that this tokenizer puts before every text; "" if none."""
    begins = self._fast.encode("", add_special_tokens=True).ids[:1]
    bos = self._tokenizer.bos_token_id
    return self._tokenizer.bos_token if begins == [bos] else ""
