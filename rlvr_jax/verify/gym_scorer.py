"""Scores answers by reasoning-gym; only workers may load this.

What a policy writes is given to parsers and solvers, which may run for long.
"""

import functools
import json
from collections.abc import Mapping

import reasoning_gym

# What Python says of text that cannot be parsed, or has another shape.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


def judge(reference: str, question: str, answer: str) -> float:
  """Returns the score of an answer by the generator of its question.

  Args:
    reference: JSON of an object: `dataset`, the name of a generator, `seed`,
      `size`, and `index`, the place of the question among those generated.
    question: that was answered.
    answer: as the response gives it.

  Returns:
    The score; 0 for an answer that cannot be read.

  Raises:
    ValueError: the generator gives another question there.
  """
  source, entry = _entry(reference)
  if entry["question"] != question:
    raise ValueError(f"{reference} gives another question than {question!r}.")
  try:
    return float(source.score_answer(answer, entry))
  except _UNREADABLE:
    return 0.0


@functools.lru_cache(maxsize=64)
def _entry(
  reference: str,
) -> tuple[reasoning_gym.dataset.ProceduralDataset, Mapping[str, object]]:
  row = json.loads(reference)
  source = _source(row["dataset"], row["seed"], row["size"])
  return source, source[row["index"]]


@functools.lru_cache(maxsize=8)
def _source(
  dataset: str, seed: int, size: int
) -> reasoning_gym.dataset.ProceduralDataset:
  return reasoning_gym.create_dataset(dataset, seed=seed, size=size)
