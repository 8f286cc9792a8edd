"""One evaluation in a folder: killed at any moment, it goes on where it was."""

import hashlib
import json
import zlib

import jax
import tqdm

from rlvr_jax import rng, tasks
from rlvr_jax.evaluation import examiner as examiner_lib
from rlvr_jax.evaluation import figures
from rlvr_jax.evaluation.examiner import Examiner
from rlvr_jax.evaluation.records import Log, Record
from rlvr_jax.types import PyTree


def checksum(task: tasks.Task) -> str:
  """Of the evaluation split: other problems, or another order, are another."""
  said = [
    (*examiner_lib.named(task, problem), problem.asked, problem.answer)
    for problem in task.evaluation
  ]
  return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


class Evaluation:
  """All problems of a task's evaluation split, asked once.

  Args:
    examiner: that asks.
    log: where records go; problems that it holds are done.

  Raises:
    ValueError: two problems have one name, their source has that of a row of
      the table, or the log holds one that the task does not.
  """

  def __init__(self, examiner: Examiner, log: Log):
    self._examiner, self._log = examiner, log
    self._problems = list(examiner.task.evaluation)
    self._names = _names(examiner.task)
    self._done = {self._place(record) for record in log.records}

  def run(
    self, params: PyTree, seed: int, progress: bool = False
  ) -> list[Record]:
    """Asks what is left to ask.

    Args:
      params: of the policy.
      seed: of the samples, at least 0.
      progress: show a bar.

    Returns:
      The records of all problems, in the order of the file.
    """
    key = rng.key(jax.random.key(seed), rng.Purpose.EVALUATE)
    numbers = [zlib.crc32(name.encode()) for name in self._names]
    found = self._examiner.records(
      params, key, self._problems, numbers, self._done
    )
    records = list(self._log.records)
    with tqdm.tqdm(
      total=len(self._problems), initial=len(records), disable=not progress
    ) as bar:
      for completed in found:
        for record in completed:
          self._log.append(record)
        records += completed
        bar.update(len(completed))
    return records

  def _place(self, record: Record) -> int:
    """Where a problem that is done stands among all."""
    place = self._names.get(record.name)
    problem = None if place is None else self._problems[place]
    if problem is None or record[2:4] != (problem.asked, problem.answer):
      raise ValueError(
        f"the records hold a problem {record.name!r} that the data does not "
        f"hold, or not with the prompt {record.prompt[:80]!r} and the answer "
        f"{record.reference!r}; use another folder, or the data of before."
      )
    return place


def _names(task: tasks.Task) -> dict[str, int]:
  """Places of the problems by what records call them."""
  names: dict[str, int] = {}
  named = [examiner_lib.named(task, problem) for problem in task.evaluation]
  figures.check_sources(source for source, _ in named)
  for place, name in enumerate(map("/".join, named)):
    if names.setdefault(name, place) != place:
      raise ValueError(
        f"problems {names[name]} and {place} are both called {name!r}; give "
        "each problem of a source an id of its own."
      )
  return names
