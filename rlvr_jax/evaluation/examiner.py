"""Asks a policy: samples responses in batches, grades them, makes records."""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import processes, tasks
from rlvr_jax.evaluation.batches import Batch, batches
from rlvr_jax.evaluation.records import Record
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Array, Draw, PyTree

# Digits of an entropy: more than figures need, fewer than rounding changes.
DIGITS = 4


class How(NamedTuple):
  """How to ask."""

  samples: int  # of each problem
  length: int  # tokens of a response at most, its end included
  widths: tuple[int, ...]  # tokens that prompts may be padded to
  temperature: float = 1.0
  top_k: int = 0  # 0 keeps all
  top_p: float = 1.0
  min_p: float = 0.0
  rows: int = 0  # responses at once; 0 for all. Memory, not results
  texts: int = 0  # responses of each problem that are kept as text


class Responses(NamedTuple):
  """What n rows said."""

  tokens: Array  # i32[n, T]
  count: Array  # i32[n] tokens, the end included
  truncated: Array  # bool[n]
  entropy: Array  # f32[n] nats, mean over the tokens


class Examiner:
  """Makes records of problems of a task.

  What a problem's samples are depends on the key, the problem's number and
  theirs; not on the other problems, their order or `How.rows`.

  Args:
    task: its tokenizer and grading.
    model: the decoder.
    how: to ask.
    mesh: that the parameters are on.

  Raises:
    ValueError: `how.rows` is not 0 and fewer than the devices of rows.
  """

  def __init__(
    self,
    task: tasks.Task,
    model: Transformer,
    how: How,
    mesh: jax.sharding.Mesh,
  ):
    self.task, self.how, self.mesh = task, how, mesh
    parts = mesh_lib.row_parts(mesh)
    if 0 < how.rows < parts:
      raise ValueError(
        f"rows = {how.rows} must be at least {parts}, one for each of the "
        "devices that rows are split over, or 0 for no limit."
      )
    ends = sampler.Ends(task.tokenizer.stop_ids, task.tokenizer.pad_id)
    sample = functools.partial(
      _responses, how=how, model=model, length=how.length, ends=ends
    )
    self._sample = jax.jit(
      sample,
      static_argnames="per_prompt",
      out_shardings=mesh_lib.by_row(mesh),
    )

  def batches(self, problems: Sequence[tasks.Problem]) -> list[Batch]:
    """The batches that `records` asks the problems in."""
    how, tokenizer = self.how, self.task.tokenizer
    widths = [tasks.prompt_width([p], tokenizer, how.widths) for p in problems]
    parts = mesh_lib.row_parts(self.mesh)
    return batches(widths, how.samples, how.rows, parts)

  def records(
    self,
    params: PyTree,
    key: Array,
    problems: Sequence[tasks.Problem],
    numbers: Sequence[int],
    done: Collection[int] = frozenset(),
  ) -> Iterator[list[Record]]:
    """Asks all problems but those that are done.

    Args:
      params: of the policy.
      key: of the evaluation.
      problems: Q of them, always all, so that batches are always the same.
      numbers: Q numbers in [0, 2^32), which the dice are made of.
      done: places of problems that are left out.

    Yields:
      For every batch that has something to do, the records that it completes.
    """
    todo = [
      batch
      for batch in self.batches(problems)
      if any(piece.problem not in done for piece in batch.pieces)
    ]
    ask = lambda batch: self._ask(params, key, problems, numbers, batch)
    samples: list[tuple] = []  # of the problem that is not complete yet
    for batch, responses in zip(todo, _one_ahead(ask, todo)):
      completed = []
      for problem, rows in self._graded(problems, batch, responses, done):
        samples += rows
        if len(samples) == self.how.samples:
          completed.append(self._record(problems[problem], samples))
          samples = []
      yield completed

  def _ask(self, params, key, problems, numbers, batch: Batch) -> Responses:
    """Starts a batch on the devices; the result may still be to come."""
    pieces = batch.pieces
    pieces += pieces[-1:] * (batch.prompts - len(pieces))
    prompts = tasks.encode_prompts(
      [problems[piece.problem] for piece in pieces],
      self.task.tokenizer,
      batch.width,
    )
    named = sampler.Numbers(
      np.array([numbers[piece.problem] for piece in pieces], np.uint32),
      np.array([piece.first for piece in pieces], np.int32),
    )
    where = mesh_lib.by_row(self.mesh)
    prompts, named = mesh_lib.put((prompts, named), where)
    return self._sample(
      params, *prompts, key, named, per_prompt=batch.per_prompt
    )

  def _graded(
    self,
    problems: Sequence[tasks.Problem],
    batch: Batch,
    responses: Responses,
    done: Collection[int],
  ) -> Iterator[tuple[int, list[tuple]]]:
    """The samples of every piece: answer, right, tokens, ..., text."""
    size = batch.per_prompt
    wanted = [
      (place, piece.problem)
      for place, piece in enumerate(batch.pieces)
      if piece.problem not in done
    ]
    asked = {
      row: problems[problem]
      for place, problem in wanted
      for row in range(place * size, (place + 1) * size)
    }
    held, columns = self._held(asked, responses)
    samples = list(zip(*processes.of_all_rows(held, *columns)))
    for number, (_, problem) in enumerate(wanted):
      yield problem, samples[number * size : (number + 1) * size]

  def _held(
    self, asked: Mapping[int, tasks.Problem], responses: Responses
  ) -> tuple[list[int], tuple[list, ...]]:
    """Which of these rows this process holds, and the columns of a sample."""
    numbers = processes.held(responses.count)[0].tolist()
    tokens, *measured = (processes.held(x)[1] for x in responses)
    places = [place for place, row in enumerate(numbers) if row in asked]
    rows = [numbers[place] for place in places]
    texts = [self.task.tokenizer.decode(tokens[place]) for place in places]
    graded = tasks.grade(self.task, [asked[row] for row in rows], texts)
    right = [bool(r >= 1) if k else None for r, k in zip(*graded[:2])]
    said = (x[places].tolist() for x in measured)
    return rows, (graded.answers, right, *said, texts)

  def _record(self, problem: tasks.Problem, samples: list[tuple]) -> Record:
    answers, right, tokens, truncated, entropy, texts = map(list, zip(*samples))
    return Record(
      *named(self.task, problem),
      problem.asked,
      problem.answer,
      answers,
      right,
      tokens,
      truncated,
      [round(x, DIGITS) for x in entropy],
      texts[: self.how.texts],
    )


def named(task: tasks.Task, problem: tasks.Problem) -> tuple[str, str]:
  """Source and id of a problem; its row where it has no id."""
  return problem.source or task.name, problem.id or str(problem.index)


def _one_ahead(ask, items: Sequence) -> Iterator:
  """Results in order; the devices work on the next while one is graded."""
  waiting = None
  for item in items:
    started = ask(item)
    if waiting is not None:
      yield waiting
    waiting = started
  if waiting is not None:
    yield waiting


def _responses(
  params: PyTree,
  prompts: Array,
  prompt_mask: Array,
  key: Array,
  numbers: sampler.Numbers,
  *,
  per_prompt: int,
  how: How,
  model: Transformer,
  length: int,
  ends: sampler.Ends,
) -> Responses:
  """The rows of one batch, and no more of them than records need."""
  draw = Draw(
    "evaluate",
    per_prompt,
    temperature=how.temperature,
    top_k=how.top_k,
    top_p=how.top_p,
    min_p=how.min_p,
  )
  batch = sampler.rollout(
    params,
    prompts,
    prompt_mask,
    (draw,),
    key,
    model=model,
    length=length,
    ends=ends,
    numbers=numbers,
  )
  count = batch.mask.sum(axis=1)
  entropy = jnp.where(batch.mask, batch.stats[sampler.ENTROPY.key], 0)
  return Responses(
    tokens=batch.response,
    count=count,
    truncated=batch.mask[:, -1] & ~ends.stops_at(batch.response[:, -1]),
    entropy=entropy.sum(axis=1) / count,
  )
