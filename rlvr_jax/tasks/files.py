"""The task "files": problems of datasets, for a pretrained model."""

import collections
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from absl import logging

from rlvr_jax.tasks import chat, filters, overlap, sources
from rlvr_jax.tasks.base import Problem, Task
from rlvr_jax.tasks.files_options import FilesOptions
from rlvr_jax.tasks.order import Part
from rlvr_jax.tasks.style import Style

# Question i of reasoning-gym depends on seed + i: near seeds ask the same.
_FAR = 2**31

Keep = Callable[..., filters.Filter]
Rows = Callable[..., Iterator[sources.Row]]
Asked = tuple[Problem, int]  # with the tokens of its prompt


def files_task(
  tokenizer: chat.ChatTokenizer,
  options: FilesOptions,
  grading: Style,
  data_dir: str | os.PathLike[str] | None = None,
) -> Task:
  """Returns the problems of datasets as a task.

  A question comes once in all datasets to learn from and once in each to
  measure on. The log tells which rows were dropped, and why.

  Args:
    tokenizer: of the model.
    options: of the task.
    grading: of answers.
    data_dir: where TFDS keeps datasets; None is its own default.

  Returns:
    The task, its prompts rendered. Every problem has the name of its dataset
    and its id there. There are no demonstrations, and no room for a response
    that the datasets could tell.

  Raises:
    ValueError: a dataset cannot be read, or nothing of it is kept.
    ImportError: reasoning-gym is not installed.
  """
  keep = functools.partial(
    filters.Filter,
    render=functools.partial(
      render,
      tokenizer,
      instruction=options.instruction,
      system=options.system,
      thinking=options.thinking,
      template=options.template,
    ),
    count=lambda prompt: len(tokenizer.encode(prompt)),
    check=grading.check,
    longest=options.max_prompt,
    unparsable=options.unparsable,
  )
  rows = functools.partial(
    sources.read,
    columns=options.columns,
    reference=grading.reference,
    data_dir=data_dir,
  )
  measured = to_measure_on(options.evaluation, keep, rows, options.seed)
  _check_left(options.evaluation, measured)
  _log("to measure on", measured.report)
  held_out = held_out_of(measured, options.ngram)
  learned = to_learn_from(options.train, keep, rows, options.seed, held_out)
  _check_left(options.train, learned)
  _log("to learn from", learned.report)
  evaluation = [_asked(kept) for part in measured.parts for kept in part]
  flat = [_asked(kept) for part in learned.parts for kept in part]
  sizes = [len(part) for part in learned.parts]
  return Task(
    name="files",
    train=_numbered(flat),
    evaluation=_numbered(evaluation),
    tokenizer=tokenizer,
    grade=grading.grade,
    extract=grading.extract,
    agree=grading.agree,
    max_prompt_length=max(length for _, length in flat + evaluation),
    max_response_length=0,
    mixture=tuple(map(Part, sizes, options.train_weights)),
  )


def render(
  tokenizer: chat.ChatTokenizer,
  row: sources.Row,
  *,
  instruction: str,
  system: str,
  thinking: bool | None,
  template: str,
) -> str:
  """Returns the prompt of a row; for the options see `FilesOptions`."""
  return tokenizer.render(
    chat.instructed(row.messages, instruction),
    system=system or None,
    thinking=thinking,
    template=template,
  )


class Found(NamedTuple):
  """What is left of datasets, and what became of the rest."""

  parts: list[list[filters.Kept]]  # by dataset, in their order
  report: filters.Report


def to_measure_on(
  specs: Sequence[str], keep: Keep, rows: Rows, seed: int, examples: int = 2
) -> Found:
  """Returns what is kept of datasets to measure on.

  Args:
    specs: the datasets.
    keep: `filters.Filter` but for its report and whether it is by source.
    rows: `sources.read` but for the dataset and the seed.
    seed: of the task.
    examples: shown of each reason, at most.

  Returns:
    The problems, each once in every source.

  Raises:
    ValueError: a dataset cannot be read.
  """
  report = filters.Report(examples)
  filtered = keep(report, by_source=True)
  parts = [list(filtered(rows(spec, seed=seed + _FAR))) for spec in specs]
  return Found(parts, report)


def held_out_of(evaluation: Found, ngram: int) -> overlap.HeldOut:
  """Returns the problems to measure on, to be found in others."""
  questions = collections.defaultdict(list)
  for kept in itertools.chain.from_iterable(evaluation.parts):
    questions[kept.row.source].append(kept.row.question)
  return overlap.HeldOut(questions, ngram)


def to_learn_from(
  specs: Sequence[str],
  keep: Keep,
  rows: Rows,
  seed: int,
  held_out: overlap.HeldOut,
  examples: int = 2,
) -> Found:
  """Returns what is kept of datasets to learn from.

  Args:
    specs: the datasets.
    keep: `filters.Filter` but for its report and whether it is by source.
    rows: `sources.read` but for the dataset and the seed.
    seed: of the task.
    held_out: problems that are dropped.
    examples: shown of each reason, at most.

  Returns:
    The problems, each once in all datasets.

  Raises:
    ValueError: a dataset cannot be read.
  """
  report = filters.Report(examples)
  filtered, apart = keep(report), filters.Apart(held_out, report)
  parts, number = [], itertools.count()
  for spec in specs:
    parts.append([])
    for kept in filtered(rows(spec, seed=seed)):
      apart.note(next(number), kept.row)
      parts[-1].append(kept)
  out, number = apart.found(), itertools.count()
  parts = [[p for p in part if next(number) not in out] for part in parts]
  return Found(parts, report)


def _log(purpose: str, report: filters.Report) -> None:
  level = logging.WARNING if report.dropped else logging.INFO
  logging.log(level, "problems %s:\n%s", purpose, report)


def _check_left(specs: Sequence[str], found: Found) -> None:
  for spec, part in zip(specs, found.parts, strict=True):
    if not part:
      raise ValueError(
        f"Nothing is left of {spec!r}; leave it out, or change the options "
        f"that drop its rows:\n{found.report}"
      )


def _asked(kept: filters.Kept) -> Asked:
  row = kept.row
  problem = Problem(
    kept.prompt, row.answer, (), 0, row.source, row.id, row.question
  )
  return problem, kept.length


def _numbered(asked: list[Asked]) -> list[Problem]:
  return [p._replace(index=index) for index, (p, _) in enumerate(asked)]
