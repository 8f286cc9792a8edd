"""Prompts with the answers a model shall learn to give, as tokens."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks import chat, files, filters, overlap, sources
from rlvr_jax.tasks.files_options import check_datasets

UNANSWERED = "answer without text"
LONG = "prompt and answer too long"
REPEATED = "repeats an earlier prompt and its answer"

# Where rows have what, unless told otherwise.
COLUMNS = dict(prompt="messages|prompt", answer="response|answer")
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
    ngram: words; prompts that share a run of so many with the evaluation are
      dropped from training. 0 looks for none.
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
  keep = functools.partial(_kept, tokenizer, options)
  report, held_out, evaluation = filters.Report(), {}, []
  for spec in options.evaluation:
    found = list(keep(report, set(), rows(spec, seed=options.seed + files.FAR)))
    files.check_left(spec, len(found), report)
    held_out[spec] = [row.question for row, _ in found]
    evaluation += [made for _, made in found]
  files.log("demonstrations to measure on", report)
  apart = overlap.HeldOut(held_out, options.ngram)
  return _train(options, keep, rows, apart), evaluation


def _train(options, keep, rows, held_out) -> list[Demonstration]:
  report, seen, parts = filters.Report(), set(), []
  apart, number = filters.Apart(held_out, report), itertools.count()
  for spec in options.train:
    parts.append([])
    for row, made in keep(report, seen, rows(spec, seed=options.seed)):
      apart.note(next(number), row)
      parts[-1].append(made)
  out, number = apart.found(), itertools.count()
  parts = [[x for x in part if next(number) not in out] for part in parts]
  for spec, part in zip(options.train, parts):
    files.check_left(spec, len(part), report)
  files.log("demonstrations to learn from", report)
  return [made for part in parts for made in part]


def _kept(
  tokenizer: chat.ChatTokenizer,
  options: Options,
  report: filters.Report,
  seen: set[bytes],
  rows: Iterable[sources.Row],
) -> Iterator[tuple[sources.Row, Demonstration]]:
  """What is kept of the rows of one dataset; `seen` grows."""
  for row in rows:
    report.read[row.source] += 1
    reason, detail = _wrong(row, seen), ""
    if reason is None:
      made = _encoded(tokenizer, options, row)
      if len(made.tokens) <= options.length:
        report.kept[row.source] += 1
        yield row, made
        continue
      reason, detail = LONG, f"{len(made.tokens)} tokens: {row.question:.80}"
    report.drop(row, reason, detail)


def _wrong(row: sources.Row, seen: set[bytes]) -> str | None:
  """Why a row is dropped whatever its length; None if it is not."""
  if not row.question.strip():
    return filters.EMPTY
  if not row.answer.strip():
    return UNANSWERED
  digest = _digest(row)
  if digest in seen:
    return REPEATED
  seen.add(digest)
  return None


def _encoded(
  tokenizer: chat.ChatTokenizer, options: Options, row: sources.Row
) -> Demonstration:
  prompt = tokenizer.encode(files.render(tokenizer, options, row))
  answer = [*tokenizer.encode(row.answer), tokenizer.eos_id]
  return Demonstration(np.array([*prompt, *answer], np.int32), len(prompt))


def _digest(row: sources.Row) -> bytes:
  """Short, since those of a million rows are in memory at once."""
  text = "\x1e".join([*(m["content"] for m in row.messages), row.answer])
  return hashlib.blake2b(text.encode(), digest_size=16).digest()
