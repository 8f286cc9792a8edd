"""Prompts with the answers a model shall learn to give, as tokens."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks import chat, files, filters, selection, sources
from rlvr_jax.tasks.files_options import check_datasets

UNANSWERED = "answer without text"
LONG = "prompt and answer too long"
REPEATED = "repeats an earlier prompt and its answer"

# Where rows have what, unless told otherwise.
COLUMNS = dict(prompt="messages|prompt", answer="response|answer")
# Options that say how a prompt is written.
_WRITTEN = ("instruction", "system", "thinking", "template")
_ALLOWED = {"template": ("chat", "plain"), "answers": ("last", "all")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """What to learn from, checked before a row is read.

  Attributes:
    train: datasets to learn from, as `records.read` names them.
    evaluation: datasets to measure on; () for none.
    columns: where rows have what, by field of `sources.Columns`, in place of
      `COLUMNS`. A prompt is text or messages; messages that end with the
      assistant hold their answers, others have them in their column.
    answers: of such a conversation, its "last" answer or "all".
    system: content of a system message before every prompt; "" for none.
    instruction: added to every last message after an empty line; "" for none.
    thinking: turns the model's thinking on or off; None leaves it.
    template: "chat" for the tokenizer's own, "plain" for the bare text.
    length: of a row, tokens; what is longer with its answer is dropped.
    ngram: words; prompts that share a good part of one of the evaluation, in
      runs of so many, are dropped from training, see docs/data.md. 0 looks for
      none.
    seed: chooses the questions of reasoning-gym, at least 0.

  Raises:
    ValueError: an option is out of its range, or a file is not there.
  """

  train: Sequence[str]
  evaluation: Sequence[str] = ()
  columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
  answers: str = "all"
  system: str = ""
  instruction: str = ""
  thinking: bool | None = None
  template: str = "chat"
  length: int = 2048
  ngram: int = 13
  seed: int = 0

  def __post_init__(self):
    check_datasets("demonstrations: train", self.train, least=1)
    check_datasets("demonstrations: evaluation", self.evaluation, least=0)
    sources.columns_of(self.columns)
    for name, allowed in _ALLOWED.items():
      if getattr(self, name) not in allowed:
        raise ValueError(
          f"demonstrations: {name} = {getattr(self, name)!r} must be one of "
          f"{list(allowed)}."
        )
    for name, least in (("length", 2), ("ngram", 0), ("seed", 0)):
      if getattr(self, name) < least:
        raise ValueError(
          f"demonstrations: {name} = {getattr(self, name)} must be >= {least}."
        )


class Demonstration(NamedTuple):
  """A prompt and its answer."""

  tokens: np.ndarray  # i32[n] prompt, answer and the token that ends it
  prompt: int  # tokens of the prompt, at least 1


def read(
  tokenizer: chat.ChatTokenizer, options: Options, data_dir: str | None = None
) -> tuple[list[Demonstration], list[Demonstration]]:
  """Returns what to learn from and what to measure on, in the datasets' order.

  A prompt may come with several answers, but not twice with the same one. The
  log tells which rows were dropped, and why.

  Args:
    tokenizer: of the model. Prompt and answer are encoded apart, as they are
      when the model answers, and its eos ends the answer.
    options: what to read and how.
    data_dir: where TFDS keeps datasets; None is its own default.

  Raises:
    ValueError: a dataset cannot be read, or nothing of it is kept.
    ImportError: reasoning-gym is not installed.
  """
  rows = functools.partial(
    sources.read,
    columns=COLUMNS | dict(options.columns),
    answers=options.answers,
    data_dir=data_dir,
  )
  keep = functools.partial(
    _Filter, _encoder(tokenizer, options), options.length
  )
  common = dict(keep=keep, rows=rows, seed=options.seed)
  measured = selection.to_measure_on(options.evaluation, **common)
  measured.check_left(options.evaluation)
  measured.log("demonstrations to measure on")
  held_out = selection.held_out_of(measured, options.ngram)
  learned = selection.to_learn_from(options.train, held_out=held_out, **common)
  learned.check_left(options.train)
  learned.log("demonstrations to learn from")
  return _made(learned), _made(measured)


def _encoder(
  tokenizer: chat.ChatTokenizer, options: Options
) -> Callable[[sources.Row], Demonstration]:
  written = {name: getattr(options, name) for name in _WRITTEN}

  def encode(row):
    prompt = tokenizer.encode(files.render(tokenizer, row, **written))
    answer = [*tokenizer.encode(row.answer), tokenizer.eos_id]
    return Demonstration(np.array([*prompt, *answer], np.int32), len(prompt))

  return encode


def _made(found: selection.Found) -> list[Demonstration]:
  return [kept.made for part in found.parts for kept in part]


class _Kept(NamedTuple):
  row: sources.Row
  made: Demonstration


class _Filter:
  """Keeps the first of each prompt with its answer that is not too long."""

  def __init__(
    self,
    encode: Callable[[sources.Row], Demonstration],
    length: int,
    report: filters.Report,
    by_source: bool = False,
  ):
    """Has seen nothing yet; see `filters.Filter`."""
    self._encode, self._length = encode, length
    self._report, self._by_source = report, by_source
    self._seen: set[tuple[str, bytes]] = set()

  def __call__(self, rows: Iterable[sources.Row]) -> Iterator[_Kept]:
    """Yields what is kept of the rows of one dataset, in their order."""
    for row in rows:
      self._report.read[row.source] += 1
      reason, detail = self._wrong(row), ""
      if reason is None:
        made = self._encode(row)
        if len(made.tokens) <= self._length:
          self._report.kept[row.source] += 1
          yield _Kept(row, made)
          continue
        reason, detail = LONG, f"{len(made.tokens)} tokens: {row.question:.80}"
      self._report.drop(row, reason, detail)

  def _wrong(self, row: sources.Row) -> str | None:
    """Why a row is dropped whatever its length; None if it is not."""
    if not row.question.strip():
      return filters.EMPTY
    if not row.answer.strip():
      return UNANSWERED
    key = (row.source if self._by_source else "", _digest(row))
    if key in self._seen:
      return REPEATED
    self._seen.add(key)
    return None


def _digest(row: sources.Row) -> bytes:
  """Short, since those of a million rows are in memory at once."""
  text = "\x1e".join([*(m["content"] for m in row.messages), row.answer])
  return hashlib.blake2b(text.encode(), digest_size=16).digest()
