"""Responses that say the same by a comparison of their answers."""

import collections
from collections.abc import Callable, Sequence

from rlvr_jax.tasks.base import AgreeFn, Problem
from rlvr_jax.verify import clusters


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
    The function of a batch. All problems of it are compared in one call.
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
      for row, number in zip(group, numbers):
        found[row] = None if number < 0 else answers[group[number]]
    return found

  return agree
