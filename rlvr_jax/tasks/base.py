"""What a task is, in which order its problems come, and their tokens."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks.tokenizer import Tokenizer


class Problem(NamedTuple):
  """One question with what is needed to grade an answer to it."""

  prompt: str
  answer: str  # reference answer; "" when many are right or none is known
  demonstrations: tuple[str, ...]  # right responses; may be empty
  index: int  # row in its split
  source: str = ""  # name of the dataset it is from; "" if there is but one
  id: str = ""  # within its source; "" if it has none


@dataclasses.dataclass(frozen=True)
class Task:
  """Problems, their tokenizer and the rules of grading.

  Attributes:
    name: what `tasks.load` was given.
    train: problems to learn from.
    evaluation: problems to measure on; no prompt of it is in `train`.
    tokenizer: encodes every prompt and demonstration.
    grade: (problem, response text) to the reward in [0, 1], or None when it
      cannot be told. Must be quick: it runs in the training process.
    extract: (problem, response text) to the canonical answer, equal for
      responses that say the same, or None when there is no answer.
    max_prompt_length: longest prompt of both splits, tokens.
    max_response_length: room for a response, tokens, eos included.
  """

  name: str
  train: Sequence[Problem]
  evaluation: Sequence[Problem]
  tokenizer: Tokenizer
  grade: Callable[[Problem, str], float | None]
  extract: Callable[[Problem, str], str | None]
  max_prompt_length: int
  max_response_length: int


def prompts_at(seed: int, cursor: int, count: int, size: int) -> np.ndarray:
  """Returns which problems come at places cursor .. cursor + count - 1.

  The data order as a pure function: place i of the endless order lies in epoch
  i // size, and every epoch is its own permutation of the problems. So nothing
  but `cursor` need be saved, and a process that wants a part of a batch asks
  for that part.

  Args:
    seed: at least 0; another seed gives another order.
    cursor: prompts consumed so far, at least 0.
    count: prompts wanted, at least 0.
    size: problems in the split, at least 1.

  Returns:
    Rows of the split, i64[count], each in [0, size).

  Raises:
    ValueError: an argument is below its least value.
  """
  for name, value, least in (
    ("seed", seed, 0),
    ("cursor", cursor, 0),
    ("count", count, 0),
    ("size", size, 1),
  ):
    if value < least:
      raise ValueError(f"prompts_at: {name} = {value} must be >= {least}.")
  epochs, places = np.divmod(np.arange(cursor, cursor + count), size)
  rows = np.empty(count, np.int64)
  for epoch in np.unique(epochs):
    here = epochs == epoch
    order = np.random.default_rng((seed, int(epoch))).permutation(size)
    rows[here] = order[places[here]]
  return rows


def max_lengths(
  problems: Sequence[Problem], tokenizer: Tokenizer
) -> tuple[int, int]:
  """Returns the longest prompt and the longest demonstration, in tokens.

  Args:
    problems: usually both splits together.
    tokenizer: encodes every prompt and demonstration.

  Returns:
    (prompt length, demonstration length with its eos); 0 and 1 for none.

  Raises:
    ValueError: from the tokenizer, for text that it cannot encode.
  """
  prompts = [len(tokenizer.encode(p.prompt)) for p in problems]
  responses = [
    len(tokenizer.encode(text)) for p in problems for text in p.demonstrations
  ]
  return max(prompts, default=0), max(responses, default=0) + 1
