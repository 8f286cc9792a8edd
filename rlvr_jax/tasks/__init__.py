"""Tasks: problems with answers that can be checked, and their tokens."""

import difflib
import os

from rlvr_jax.tasks.agreement import agreeing
from rlvr_jax.tasks.arithmetic import split_task, sum_task
from rlvr_jax.tasks.base import Problem, Task, each, max_lengths
from rlvr_jax.tasks.chat import ChatTokenizer
from rlvr_jax.tasks.encode import (
  demonstration_batch,
  encode_prompts,
  prompt_width,
  prompt_widths,
)
from rlvr_jax.tasks.files import files_task, to_measure_on
from rlvr_jax.tasks.files_options import FilesOptions
from rlvr_jax.tasks.filters import Report
from rlvr_jax.tasks.grading import (
  Graded,
  check_known,
  grade,
  ungraded,
  unlabelled,
)
from rlvr_jax.tasks.gym import reasoning_gym_task
from rlvr_jax.tasks.hf_tokenizer import HFTokenizer
from rlvr_jax.tasks.order import Part, mixed_at, prompts_at
from rlvr_jax.tasks.rendered import rendered
from rlvr_jax.tasks.style import Style
from rlvr_jax.tasks.styles import style_of
from rlvr_jax.tasks.token_text import token_text
from rlvr_jax.tasks.tokenizer import CharTokenizer, Tokenizer

__all__ = [
  "CharTokenizer",
  "ChatTokenizer",
  "FilesOptions",
  "Graded",
  "HFTokenizer",
  "Part",
  "Problem",
  "Report",
  "Style",
  "Task",
  "Tokenizer",
  "agreeing",
  "check_known",
  "demonstration_batch",
  "each",
  "encode_prompts",
  "files_task",
  "grade",
  "load",
  "max_lengths",
  "mixed_at",
  "prompt_width",
  "prompt_widths",
  "prompts_at",
  "reasoning_gym_task",
  "rendered",
  "split_task",
  "style_of",
  "sum_task",
  "to_measure_on",
  "token_text",
  "ungraded",
  "unlabelled",
]

_TASKS = {"split": split_task, "sum": sum_task}
_GYM = "gym:"
_FILES = "files"


def load(
  name: str,
  *,
  data_dir: str | os.PathLike[str] | None = None,
  seed: int = 0,
  tokenizer: ChatTokenizer | None = None,
  grading: Style | None = None,
  labelled: bool = True,
  **options: object,
) -> Task:
  """Returns a task by name.

  Args:
    name: "split", "sum", "gym:<dataset of reasoning-gym>" or "files".
    data_dir: where TFDS keeps datasets; None is its own default. Not used by
      "gym:", which generates its problems anew.
    seed: chooses the problems and which of them are held out, at least 0.
    tokenizer: of the model. None gives each task a tokenizer of characters of
      its own, but for "files", which needs one.
    grading: how "files" grades answers; None is what its options `style`,
      `clusters` and `programs` name.
    labelled: False: "files" reads no reference answers of the problems to learn
      from, and need not have them. Of the other tasks take `unlabelled`.
    **options: further arguments of `split_task`, `sum_task` or
      `reasoning_gym_task`, or options of `FilesOptions`.

  Returns:
    The task, all its problems in memory.

  Raises:
    ValueError: no task has this name, or an option is out of its range.
  """
  if name == _FILES:
    return _files(data_dir, seed, tokenizer, grading, labelled, options)
  if tokenizer is not None and options.get("alphabet") is not None:
    raise ValueError(
      f"alphabet = {options['alphabet']!r} is of a tokenizer of characters, "
      "but another tokenizer is given; leave one of the two out."
    )
  if name.startswith(_GYM):
    dataset = name.removeprefix(_GYM)
    task = reasoning_gym_task(dataset, seed=seed, **options)
  elif name in _TASKS:
    task = _TASKS[name](data_dir=data_dir, seed=seed, **options)
  else:
    allowed = [*_TASKS, _FILES, "gym:<dataset>"]
    nearest = difflib.get_close_matches(name, allowed, n=1, cutoff=0.0)[0]
    raise ValueError(
      f"No task is named {name!r}; allowed are {allowed}. The nearest is "
      f"{nearest!r}."
    )
  if tokenizer is None:
    return task
  return rendered(task, tokenizer, options.get("max_response_length"))


def _files(
  data_dir: str | os.PathLike[str] | None,
  seed: int,
  tokenizer: ChatTokenizer | None,
  grading: Style | None,
  labelled: bool,
  options: dict[str, object],
) -> Task:
  checked = FilesOptions(seed=seed, **options)
  if tokenizer is None:
    raise ValueError(
      "The task 'files' needs the tokenizer of the model; give "
      "tokenizer=HFTokenizer(folder)."
    )
  if grading is None:
    grading = style_of(checked.style, checked.clusters, checked.programs)
  return files_task(tokenizer, checked, grading, data_dir, labelled=labelled)
