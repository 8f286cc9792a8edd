"""What is kept of datasets to learn from and of datasets to measure on."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from absl import logging

from rlvr_jax.tasks import filters, overlap, sources

# Question i of reasoning-gym depends on seed + i: near seeds ask the same.
_FAR = 2**31


class Kept(Protocol):
  """What becomes of a row that is kept."""

  row: sources.Row


# Keeps rows of a dataset: `filters.Filter`, or another like it.
Filtered = Callable[[Iterable[sources.Row]], Iterable[Kept]]
# Makes one, given its report and whether a row may come again by `by_source`.
Keep = Callable[..., Filtered]
# `sources.read` but for the dataset and the seed.
Rows = Callable[..., Iterator[sources.Row]]


class Found(NamedTuple):
  """What is left of datasets, and what became of the rest."""

  parts: list[list[Kept]]  # by dataset, in their order
  report: filters.Report

  def check_left(self, specs: Sequence[str]) -> None:
    """Raises ValueError if nothing is left of one of the datasets."""
    for spec, part in zip(specs, self.parts, strict=True):
      if not part:
        raise ValueError(
          f"Nothing is left of {spec!r}; leave it out, or change the options "
          f"that drop its rows:\n{self.report}"
        )

  def log(self, what: str) -> None:
    """Tells what became of the rows; louder if some were dropped."""
    level = logging.WARNING if self.report.dropped else logging.INFO
    logging.log(level, "%s:\n%s", what, self.report)


def to_measure_on(
  specs: Sequence[str], keep: Keep, rows: Rows, seed: int, examples: int = 2
) -> Found:
  """Returns what is kept of datasets to measure on.

  Args:
    specs: the datasets.
    keep: makes the filter.
    rows: reads a dataset.
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
    keep: makes the filter.
    rows: reads a dataset.
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
