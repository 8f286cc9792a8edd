"""What passes between the host and the programs of a step: text and tokens."""

from collections.abc import Sequence

import numpy as np

from rlvr_jax import processes, tasks
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training.build import Run
from rlvr_jax.types import Array, Responses, TokenBatch

Accuracy = dict[str, list[int] | list[float]]


def encoded(
  run: Run, cursor: int
) -> tuple[list[tasks.Problem], tuple[Array, Array]]:
  """The problems from a place of the data order on, and their tokens.

  Args:
    run: of `build`.
    cursor: prompts consumed so far.

  Returns:
    The problems that are asked at a time, and their `prompts`.
  """
  asked = problems(run, cursor)
  return asked, prompts(run, asked)


def problems(run: Run, cursor: int) -> list[tasks.Problem]:
  """The problems that are asked at a time, from a place of the data order on.

  Args:
    run: of `build`.
    cursor: prompts consumed so far.
  """
  count, train = run.programs.settings.asked, run.task.train
  places = run.task.training_rows(run.config.seed, cursor, count)
  return [train[i] for i in places]


def prompts(run: Run, problems: Sequence[tasks.Problem]) -> tuple[Array, Array]:
  """The tokens of problems, as narrow as these allow.

  Args:
    run: of `build`.
    problems: P of them.

  Returns:
    i32[P, W] and bool[P, W], on the mesh.
  """
  widths = run.programs.settings.prompt_widths
  width = tasks.prompt_width(problems, run.task.tokenizer, widths)
  arrays = tasks.encode_prompts(problems, run.task.tokenizer, width)
  return mesh_lib.put(arrays, mesh_lib.by_row(run.mesh))


def decode(task: tasks.Task, batch: TokenBatch) -> list[str]:
  """The text of every response that this process holds."""
  return [task.tokenizer.decode(row) for row in _responses(batch)]


def _responses(batch: TokenBatch) -> np.ndarray:
  """i32[b, T]: the responses that this process holds.

  Cut off on the host, since devices do nothing new while they sample ahead.
  """
  return processes.held(batch.tokens)[1][:, batch.prompt_mask.shape[1] :]


def graded(
  run: Run,
  batch: TokenBatch,
  problems: Sequence[tasks.Problem],
  texts: list[str],
) -> tasks.Graded:
  """The rewards and answers of a rollout; rewards are NaN without labels.

  Every process grades the responses that it holds.

  Args:
    run: of `build`.
    batch: as sampled, n rows.
    problems: that the n rows answer.
    texts: of `decode`.

  Returns:
    What is said of all n rows.

  Raises:
    RuntimeError: too many rewards are unknown.
  """
  labelled, (places, _) = run.config.task.labelled, processes.held(batch.mask)
  grade = tasks.grade if labelled else tasks.ungraded
  own = grade(run.task, [problems[place] for place in places], texts)
  # Of a response that could be graded, nobody reads the text.
  unread = [None if known else text for known, text in zip(own.known, texts)]
  said = own.reward.tolist(), own.known.tolist(), own.answers, unread
  reward, known, answers, texts = processes.of_all_rows(places, *said)
  found = tasks.Graded(np.array(reward, np.float32), np.array(known), answers)
  if labelled:
    tasks.check_known(found, problems, texts)
  return found


def annotate(
  run: Run,
  batch: TokenBatch,
  problems: Sequence[tasks.Problem],
  texts: list[str],
  answers: list[str | None],
) -> dict[str, np.ndarray]:
  """What the methods want to know of the text of a rollout.

  Args:
    run: of `build`.
    batch: as sampled, n rows.
    problems: that the rows answer.
    texts: of `decode`.
    answers: of all n rows, canonical; None where there is none. Those of
      `Task.agree` take their place if the task has it.

  Returns:
    i32[n] or i32[n, T] by Need.key.
  """
  if not run.programs.notes:
    return {}
  decode, (places, mask) = run.task.tokenizer.decode, processes.held(batch.mask)
  pieces = [
    # A blank, or the words of two turns would join.
    [decode([token]) if counts else " " for token, counts in zip(row, counted)]
    for row, counted in zip(_responses(batch), mask)
  ]
  # A group may lie on two processes, so each hears of all rows.
  group = processes.held(batch.group)[1].tolist()
  texts, pieces, group = processes.of_all_rows(places, texts, pieces, group)
  if run.task.agree is not None:
    answers = _agreed(run.task, places, problems, texts)
  prompts = [problem.prompt for problem in problems]
  found = Responses(
    prompts, texts, pieces, answers, np.array(group), mask.shape[1]
  )
  return {need.key: need.stat.annotate(found) for need in run.programs.notes}


def _agreed(
  task: tasks.Task,
  places: np.ndarray,
  problems: Sequence[tasks.Problem],
  texts: list[str],
) -> list[str | None]:
  """`Task.agree`, a problem by the process that holds its first row."""
  first: dict[tasks.Problem, int] = {}
  for row, problem in enumerate(problems):
    first.setdefault(problem, row)
  held = frozenset(places.tolist())
  own = [row for row, problem in enumerate(problems) if first[problem] in held]
  chosen = [problems[row] for row in own], [texts[row] for row in own]
  (answers,) = processes.of_all_rows(own, task.agree(*chosen))
  return answers


def accuracy(
  run: Run, problems: Sequence[tasks.Problem], graded: tasks.Graded
) -> Accuracy:
  """How many responses of the main draw are right, problem by problem.

  Args:
    run: of `build`.
    problems: that were asked at a time, P of them.
    graded: the responses of all draws, the main one first.

  Returns:
    "problems": P rows of the training problems; "right": the mean reward of
    each, NaN where no response could be graded.
  """
  rows = run.programs.asking.draws[0][1]
  known, reward = graded.known[:rows], graded.reward[:rows]
  place = run.programs.asking.row_prompts()[:rows]
  total, count = (
    np.bincount(place, weights, len(problems))
    for weights in (np.where(known, reward, 0), known)
  )
  mean = np.divide(
    total, count, out=np.full(len(total), np.nan), where=count > 0
  )
  return {"problems": [p.index for p in problems], "right": mean.tolist()}
