"""Grades a batch of responses: right, wrong or unknown.

Unknown is an outcome of its own: a verifier that ran out of time or memory has
said nothing. Such rows are masked, and too many of them stop the run.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks.base import Problem, Task

MAX_UNKNOWN = 0.05  # share of the rewards of a step
_EXAMPLES = (
  3  # shown, and the least number that stops a run: steps may be small
)


class Graded(NamedTuple):
  """What the verifier says of n responses.

  Rows that are not `known` have reward 0 only to have a number: mask them out
  of the loss and of every statistic. Trained on as wrong, they would teach the
  policy to avoid answers that are hard to check.
  """

  reward: np.ndarray  # f32[n] in bounds; 0 where not known, NaN if ungraded
  known: np.ndarray  # bool[n]
  answers: list[str | None]  # n canonical answers; None where there is none


def grade(
  task: Task, problems: Sequence[Problem], texts: Sequence[str]
) -> Graded:
  """Returns the rewards and canonical answers of responses, in their order.

  Args:
    task: says how, by its `grade` and `extract`.
    problems: n problems of the task.
    texts: n response texts; text i answers problem i.

  Returns:
    The rewards; unknown where the task says None or NaN.

  Raises:
    ValueError: `problems` and `texts` differ in length, the task gave another
      number of rewards, or a reward is out of its bounds.
  """
  if len(problems) != len(texts):
    raise ValueError(
      f"grade: {len(problems)} problems and {len(texts)} texts; give each text "
      "its problem, repeated when it was sampled several times."
    )
  given = task.grade(problems, texts)
  if len(given) != len(texts):
    raise ValueError(
      f"Task {task.name!r} gave {len(given)} rewards to {len(texts)} texts; "
      "its `grade` must give one to each."
    )
  rewards = [_checked(task, *row) for row in zip(problems, texts, given)]
  return Graded(
    reward=np.array([reward or 0.0 for reward in rewards], np.float32),
    known=np.array([reward is not None for reward in rewards], bool),
    answers=[task.extract(p, text) for p, text in zip(problems, texts)],
  )


def unlabelled(task: Task) -> Task:
  """Returns the task without the reference answers of its training problems.

  Grade responses to them with `ungraded`; those to measure on stay as they are.

  Args:
    task: any.
  """
  train = [p._replace(answer="", demonstrations=()) for p in task.train]
  return dataclasses.replace(task, train=train)


def ungraded(
  task: Task, problems: Sequence[Problem], texts: Sequence[str]
) -> Graded:
  """Returns the canonical answers of responses, with rewards that are NaN.

  The rows count all the same: a method of the chain puts its own rewards in
  place of NaN. Where none does, the loss is NaN too and its update is refused.

  Args:
    task: says how, by its `extract`.
    problems: n problems of `unlabelled(task)`.
    texts: n response texts; text i answers problem i.
  """
  return Graded(
    reward=np.full(len(texts), np.nan, np.float32),
    known=np.ones(len(texts), bool),
    answers=[*map(task.extract, problems, texts)],
  )


def check_known(
  graded: Graded, problems: Sequence[Problem], texts: Sequence[str]
) -> None:
  """Raises if so many rewards are unknown that the rest may mislead.

  Args:
    graded: of the responses.
    problems: n problems.
    texts: n response texts.

  Raises:
    RuntimeError: three or more rewards, and more than `MAX_UNKNOWN` of them,
      are unknown.
  """
  unknown = np.flatnonzero(~graded.known).tolist()
  if len(unknown) < _EXAMPLES or len(unknown) <= MAX_UNKNOWN * len(texts):
    return
  shown = "".join(
    f"\n  - problem {problems[i].index}, answered {texts[i][-200:]!r}"
    for i in unknown[:_EXAMPLES]
  )
  raise RuntimeError(
    f"{len(unknown)} of {len(texts)} rewards of this step are unknown, at most "
    f"{MAX_UNKNOWN:.0%} may be: the verifier ran out of time or memory, or it "
    f"failed. The first:{shown}\nGrade these by hand to see why; a verifier "
    "with a deadline may need a longer one."
  )


def _checked(
  task: Task, problem: Problem, text: str, reward: float | None
) -> float | None:
  if reward is None or math.isnan(reward):
    return None
  least, most = task.bounds
  if not least <= reward <= most:
    raise ValueError(
      f"Task {task.name!r} gave reward {reward} to {text[:200]!r} for problem "
      f"{problem.index} ({problem.prompt!r}); it must lie in [{least:g}, "
      f"{most:g}] or be None."
    )
  return float(reward)
