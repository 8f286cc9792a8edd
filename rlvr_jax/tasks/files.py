"""The task "files": problems of datasets, for a pretrained model."""

import collections
import functools
import itertools
import os
from collections.abc import Callable, Iterator

from absl import logging

from rlvr_jax.tasks import chat, filters, overlap, sources
from rlvr_jax.tasks.base import Problem, Task
from rlvr_jax.tasks.files_options import FilesOptions
from rlvr_jax.tasks.order import Part
from rlvr_jax.tasks.style import Style

# Question i of reasoning-gym depends on seed + i: near seeds ask the same.
FAR = 2**31

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
    render=functools.partial(render, tokenizer, options),
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
  evaluation, held_out = _evaluation(options, keep, rows)
  train = _train(options, keep, rows, held_out)
  flat = [each for part in train for each in part]
  sizes = [len(part) for part in train]
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
  tokenizer: chat.ChatTokenizer, options: chat.Writing, row: sources.Row
) -> str:
  """Returns the prompt of a row, with instruction, system message, template."""
  return tokenizer.render(
    chat.instructed(row.messages, options.instruction),
    system=options.system or None,
    thinking=options.thinking,
    template=options.template,
  )


def _evaluation(
  options: FilesOptions, keep: Keep, rows: Rows
) -> tuple[list[Asked], overlap.HeldOut]:
  """The problems to measure on, and what they say."""
  report = filters.Report()
  filtered = keep(report, by_source=True)
  found, questions = [], collections.defaultdict(list)
  for spec in options.evaluation:
    before = len(found)
    for kept in filtered(rows(spec, seed=options.seed + FAR)):
      questions[kept.row.source].append(kept.row.question)
      found.append(_asked(kept))
    check_left(spec, len(found) - before, report)
  log("problems to measure on", report)
  return found, overlap.HeldOut(questions, options.ngram)


def _train(
  options: FilesOptions, keep: Keep, rows: Rows, held_out: overlap.HeldOut
) -> list[list[Asked]]:
  """The problems to learn from, by dataset."""
  report = filters.Report()
  filtered, apart = keep(report), filters.Apart(held_out, report)
  parts, number = [], itertools.count()
  for spec in options.train:
    parts.append([])
    for kept in filtered(rows(spec, seed=options.seed)):
      apart.note(next(number), kept.row)
      parts[-1].append(_asked(kept))
  out, number = apart.found(), itertools.count()
  parts = [[p for p in part if next(number) not in out] for part in parts]
  for spec, part in zip(options.train, parts):
    check_left(spec, len(part), report)
  log("problems to learn from", report)
  return parts


def log(purpose: str, report: filters.Report) -> None:
  """Tells what became of rows; louder if some were dropped."""
  level = logging.WARNING if report.dropped else logging.INFO
  logging.log(level, "%s:\n%s", purpose, report)


def check_left(spec: str, count: int, report: filters.Report) -> None:
  """Raises if nothing of a dataset is left."""
  if not count:
    raise ValueError(
      f"Nothing is left of {spec!r}; leave it out, or change the options that "
      f"drop its rows:\n{report}"
    )


def _asked(kept: filters.Kept) -> Asked:
  row = kept.row
  problem = Problem(
    kept.prompt, row.answer, (), 0, row.source, row.id, row.question
  )
  return problem, kept.length


def _numbered(asked: list[Asked]) -> list[Problem]:
  return [p._replace(index=index) for index, (p, _) in enumerate(asked)]
