"""What a task is: problems, their tokenizer and the rules of grading."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.tasks import order
from rlvr_jax.tasks.tokenizer import Tokenizer


class Problem(NamedTuple):
  """One question with what is needed to grade an answer to it."""

  prompt: str
  answer: str  # reference answer; "" when many are right or none is known
  demonstrations: tuple[str, ...]  # right responses; may be empty
  index: int  # row in its split
  source: str = ""  # name of the dataset it is from; "" if there is but one
  id: str = ""  # within its source; "" if it has none
  question: str = ""  # what a person reads; "" if that is the prompt

  @property
  def asked(self) -> str:
    """What a person would say is asked: no template, no instruction."""
    return self.question or self.prompt


GradeFn = Callable[[Sequence[Problem], Sequence[str]], list[float | None]]
AgreeFn = Callable[[Sequence[Problem], Sequence[str]], list[str | None]]


@dataclasses.dataclass(frozen=True)
class Task:
  """Problems, their tokenizer and the rules of grading.

  Attributes:
    name: what `tasks.load` was given.
    train: problems to learn from.
    evaluation: problems to measure on; no prompt of it is in `train`.
    tokenizer: encodes every prompt and demonstration.
    grade: (problems, response texts) to the reward of each inside `bounds`, or
      None where it cannot be told; `each` makes one of a function of a single
      response. Training waits for it.
    extract: (problem, response text) to the canonical answer, equal for
      responses that say the same, or None when there is no answer.
    max_prompt_length: longest prompt of both splits, tokens.
    max_response_length: room for a response, tokens, eos included; 0 if the
      task cannot tell, so that the run must.
    mixture: blocks of `train`, in order, that come in their own proportions;
      () mixes all of it evenly.
    agree: (problems, response texts) to answers, the same for responses to one
      problem that say the same by a closer look than that of `extract`; None
      for no answer. Training asks it for methods that compare answers; to
      those that remember answers, equal texts are one in every step.
      `agreeing` makes one of an equality. None is to take those of `extract`.
    bounds: least and largest reward; in an evaluation a response of reward 1 or
      more is right.
  """

  name: str
  train: Sequence[Problem]
  evaluation: Sequence[Problem]
  tokenizer: Tokenizer
  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  max_prompt_length: int
  max_response_length: int
  mixture: tuple[order.Part, ...] = ()
  agree: AgreeFn | None = None
  bounds: tuple[float, float] = (0.0, 1.0)

  def training_rows(self, seed: int, cursor: int, count: int) -> np.ndarray:
    """Returns which training problems come at cursor .. cursor + count - 1.

    Args:
      seed: at least 0; another seed gives another order.
      cursor: prompts consumed so far, at least 0.
      count: prompts wanted, at least 0.

    Returns:
      Rows of `train`, i64[count]; a pure function of the arguments, so any
      batch size and any number of processes read one and the same order.
    """
    parts = self.mixture or (order.Part(len(self.train), 1.0),)
    return order.mixed_at(seed, cursor, count, parts)


def each(grade: Callable[[Problem, str], float | None]) -> GradeFn:
  """Returns `Task.grade` of a function that grades a single response.

  Args:
    grade: (problem, response text) to the reward, or None when it cannot be
      told. Must be quick: it runs in the training process, one by one.

  Returns:
    The function of a batch.
  """
  return lambda problems, texts: [*map(grade, problems, texts)]


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
