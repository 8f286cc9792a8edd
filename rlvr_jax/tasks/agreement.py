"""Responses that say the same by a comparison of their answers."""

import collections
from collections.abc import Callable, Sequence

import numpy as np

from rlvr_jax.tasks.base import AgreeFn, Problem
from rlvr_jax.verify import canonical, clusters


def agreeing(
  written: Callable[[Problem, str], str | None],
  equal: clusters.Equal,
  key: Callable[[str], str | None] | None = None,
) -> AgreeFn:
  """Returns `Task.agree` of an equality of answers.

  Args:
    written: (problem, response text) to the answer that is compared, or None;
      `Task.extract` will do for answers in canonical form.
    equal: of pairs of answers to one problem; see `verify.clusters.cluster`,
      and `both_ways` there for a function of two texts.
    key: canonical form of an answer, likewise.

  Returns:
    The function of a batch. All problems of it are compared in one call. An
    answer is called by the least canonical form of those that are equal to it,
    a number before others, so the order of the rows does not matter. A number
    has its name in every batch; another answer may have one name where x+x was
    written too and another where it was not.
  """

  def agree(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[str | None]:
    answers = [*map(written, problems, texts)]
    rows = collections.defaultdict(list)
    for row, problem in enumerate(problems):
      rows[problem].append(row)
    groups = [[answers[row] for row in group] for group in rows.values()]
    found: list[str | None] = [None] * len(answers)
    for group, numbers in zip(
      rows.values(), clusters.cluster(groups, equal, key)
    ):
      names = _names([answers[row] for row in group], numbers, key)
      for row, number in zip(group, numbers.tolist()):
        found[row] = names.get(number)
    return found

  return agree


def _names(
  answers: Sequence[str | None],
  numbers: np.ndarray,
  key: Callable[[str], str | None] | None,
) -> dict[int, str]:
  """What the answers of each cluster are called, by its number."""
  forms = collections.defaultdict(list)
  for answer, number in zip(answers, numbers.tolist()):
    if number >= 0:
      forms[number].append(answer if key is None else key(answer))
  rank = lambda form: (not canonical.is_number(form), form)
  return {number: min(found, key=rank) for number, found in forms.items()}
