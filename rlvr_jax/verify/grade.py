"""Grades a batch of responses: right, wrong or unknown."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks.base import Problem, Task


class Graded(NamedTuple):
  """What the verifier says of n responses.

  Rows that are not `known` have reward 0 only to have a number: mask them out
  of the loss and of every statistic. Trained on as wrong, they would teach the
  policy to avoid answers that are hard to check.
  """

  reward: np.ndarray  # f32[n] in [0, 1]; 0 where not known
  known: np.ndarray  # bool[n]
  answers: list[str | None]  # n canonical answers; None where there is none


def grade(
  task: Task, problems: Sequence[Problem], texts: Sequence[str]
) -> Graded:
  """Returns the rewards and canonical answers of responses, in their order.

  Args:
    task: its `grade` and `extract` judge each response on its own.
    problems: n problems of the task.
    texts: n response texts; text i answers problem i.

  Returns:
    The rewards; unknown where the task says None or NaN.

  Raises:
    ValueError: `problems` and `texts` differ in length, or a reward is outside
      [0, 1].
  """
  if len(problems) != len(texts):
    raise ValueError(
      f"grade: {len(problems)} problems and {len(texts)} texts; give each text "
      "its problem, repeated when it was sampled several times."
    )
  rewards = [_reward(task, p, text) for p, text in zip(problems, texts)]
  return Graded(
    reward=np.array([reward or 0.0 for reward in rewards], np.float32),
    known=np.array([reward is not None for reward in rewards], bool),
    answers=[task.extract(p, text) for p, text in zip(problems, texts)],
  )


def _reward(task: Task, problem: Problem, text: str) -> float | None:
  reward = task.grade(problem, text)
  if reward is None or math.isnan(reward):
    return None
  if not 0 <= reward <= 1:
    raise ValueError(
      f"Task {task.name!r} gave reward {reward} to {text[:200]!r} for problem "
      f"{problem.index} ({problem.prompt!r}); it must lie in [0, 1] or be None."
    )
  return float(reward)
