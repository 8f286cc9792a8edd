"""Tasks: problems with answers that can be checked, and their tokens."""

import difflib
import os

from rlvr_jax.tasks.arithmetic import split_task, sum_task
from rlvr_jax.tasks.base import Problem, Task, each, max_lengths
from rlvr_jax.tasks.encode import (
  demonstration_batch,
  encode_prompts,
  prompt_width,
  prompt_widths,
)
from rlvr_jax.tasks.grading import Graded, check_known, grade
from rlvr_jax.tasks.gym import reasoning_gym_task
from rlvr_jax.tasks.order import Part, mixed_at, prompts_at
from rlvr_jax.tasks.tokenizer import CharTokenizer, Tokenizer

__all__ = [
  "CharTokenizer",
  "Graded",
  "Part",
  "Problem",
  "Task",
  "Tokenizer",
  "check_known",
  "demonstration_batch",
  "each",
  "encode_prompts",
  "grade",
  "load",
  "max_lengths",
  "mixed_at",
  "prompt_width",
  "prompt_widths",
  "prompts_at",
  "reasoning_gym_task",
  "split_task",
  "sum_task",
]

_TASKS = {"split": split_task, "sum": sum_task}
_GYM = "gym:"


def load(
  name: str,
  *,
  data_dir: str | os.PathLike[str] | None = None,
  seed: int = 0,
  **options: object,
) -> Task:
  """Returns a task by name.

  Args:
    name: "split", "sum" or "gym:<dataset of reasoning-gym>".
    data_dir: where TFDS keeps datasets; None is its own default. Not used by
      "gym:", which generates its problems anew.
    seed: chooses the problems and which of them are held out, at least 0.
    **options: further arguments of `split_task`, `sum_task` or
      `reasoning_gym_task`.

  Returns:
    The task, all its problems in memory.

  Raises:
    ValueError: no task has this name, or an option is out of its range.
  """
  if name.startswith(_GYM):
    return reasoning_gym_task(name.removeprefix(_GYM), seed=seed, **options)
  if name not in _TASKS:
    allowed = [*_TASKS, "gym:<dataset>"]
    nearest = difflib.get_close_matches(name, allowed, n=1, cutoff=0.0)[0]
    raise ValueError(
      f"No task is named {name!r}; allowed are {allowed}. The nearest is "
      f"{nearest!r}."
    )
  return _TASKS[name](data_dir=data_dir, seed=seed, **options)
