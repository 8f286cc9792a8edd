"""The two tasks of arithmetic: problems, strict grading, exact lengths."""

import os
import re
from collections.abc import Callable

from rlvr_jax.tasks import builders, configs
from rlvr_jax.tasks.base import Problem, Task, each, max_lengths
from rlvr_jax.tasks.prepared import read
from rlvr_jax.tasks.tokenizer import CharTokenizer

ALPHABET = "0123456789+="

# Spaces and leading zeros are no part of an answer: two texts are equal if and
# only if they say the same, so distinct answers can be counted as texts.
_SPLIT_ANSWER = re.compile(r"\A([1-9][0-9]*)\+([1-9][0-9]*)\Z")
_SUM_ANSWER = re.compile(r"[0-9]+")

# Characters; Python refuses to read numbers of thousands of digits, and no
# right answer is near this long.
_LONGEST_ANSWER = 64


def grade_split(problem: Problem, text: str) -> float:
  """Returns 1.0 if `text` is "a+b" with a, b >= 1 and the right sum, else 0.0.

  Args:
    problem: its prompt is the target and "=".
    text: the whole response; spaces and leading zeros make it wrong.

  Returns:
    The reward.
  """
  answer = extract_split(problem, text)
  if answer is None:
    return 0.0
  return float(sum(map(int, answer.split("+"))) == int(problem.prompt[:-1]))


def extract_split(problem: Problem, text: str) -> str | None:
  """Returns `text` if it is of the form "a+b" with a, b >= 1, else None.

  Args:
    problem: not used; every target has answers of the same form.
    text: the whole response. "1+9" and "9+1" are two answers.

  Returns:
    The canonical answer, right or wrong.
  """
  del problem
  return _full_match(_SPLIT_ANSWER, text)


def grade_sum(problem: Problem, text: str) -> float:
  """Returns 1.0 if `text` is the reference answer, else 0.0.

  Args:
    problem: carries the reference answer.
    text: the whole response; spaces and leading zeros make it wrong.

  Returns:
    The reward.
  """
  return float(text == problem.answer)


def extract_sum(problem: Problem, text: str) -> str | None:
  """Returns `text` if it is all digits, else None.

  Args:
    problem: not used; every sum has an answer of the same form.
    text: the whole response.

  Returns:
    The canonical answer, right or wrong.
  """
  del problem
  return _full_match(_SUM_ANSWER, text)


def split_task(
  data_dir: str | os.PathLike[str] | None = None,
  seed: int = 0,
  largest: int = 99,
) -> Task:
  """Returns the task "split": write the target as a sum of two numbers.

  Args:
    data_dir: where TFDS keeps datasets; None is its own default.
    seed: chooses the held-out fifth of the targets.
    largest: targets are 10 .. largest.

  Returns:
    The task; every right answer is a demonstration.

  Raises:
    ValueError: an argument is out of its range.
  """
  config = configs.split_config(largest, seed)
  splits = read(builders.Split, config, data_dir)
  return _task("split", *splits, grade_split, extract_split)


def sum_task(
  data_dir: str | os.PathLike[str] | None = None,
  seed: int = 0,
  largest: int = 999,
  train: int = 4000,
  evaluation: int = 200,
) -> Task:
  """Returns the task "sum": add two numbers.

  Args:
    data_dir: where TFDS keeps datasets; None is its own default.
    seed: chooses the problems.
    largest: operands are 1 .. largest.
    train: problems to learn from.
    evaluation: problems held out.

  Returns:
    The task; the reference answer is the one demonstration.

  Raises:
    ValueError: an argument is out of its range.
  """
  config = configs.sum_config(largest, seed, train, evaluation)
  splits = read(builders.Sum, config, data_dir)
  return _task("sum", *splits, grade_sum, extract_sum)


def _task(
  name: str,
  train: list[Problem],
  evaluation: list[Problem],
  grade: Callable[[Problem, str], float],
  extract: Callable[[Problem, str], str | None],
) -> Task:
  tokenizer = CharTokenizer(ALPHABET)
  lengths = max_lengths([*train, *evaluation], tokenizer)
  return Task(
    name, train, evaluation, tokenizer, each(grade), extract, *lengths
  )


def _full_match(pattern: re.Pattern[str], text: str) -> str | None:
  if len(text) > _LONGEST_ANSWER or pattern.fullmatch(text) is None:
    return None
  return text
