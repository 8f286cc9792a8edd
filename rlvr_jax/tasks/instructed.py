"""Grading by instructions that a response must follow.

The checks take time in proportion to the response and run nothing of it, so
they need no processes of their own.
"""

from collections.abc import Callable

from rlvr_jax.tasks.base import Problem, each
from rlvr_jax.tasks.style import Style, each_reference, spoken
from rlvr_jax.verify import extract, ifeval, light_if


def instructions(loose: bool = False, dense: bool = False) -> Style:
  """Returns grading by the instructions of IFEval.

  What follows the thoughts of a response is checked; thoughts that stay open
  follow nothing.

  Args:
    loose: asterisks, a first and a last line may be too many.
    dense: the reward is the share of the instructions that are followed; else
      it is 1 if all of them are, and 0 if not.
  """

  def grade(problem: Problem, text: str) -> float:
    asked = ifeval.parse(problem.answer)
    final = extract.final(spoken(problem, text)) or ""
    followed = ifeval.followed(final, asked, loose)
    return sum(followed) / len(followed) if dense else float(all(followed))

  return _style(grade, ifeval.parse)


def points() -> Style:
  """Returns grading by the rules of Light-IF, as a share of all points.

  As in the paper, a response without `</think>` has reward 0.
  """

  def grade(problem: Problem, text: str) -> float:
    _, closed, article = text.rpartition("</think>")
    asked = light_if.parse(problem.answer)
    return light_if.score(article.strip(), asked).reward if closed else 0.0

  return _style(grade, light_if.parse)


def _style(
  grade: Callable[[Problem, str], float], parse: Callable[[str], object]
) -> Style:
  def check(reference: str) -> str | None:
    try:
      parse(reference)
    except ValueError as error:
      return str(error)
    return None

  # No two texts say the same, so there is nothing to vote on.
  extract = lambda problem, text: None
  return Style(each(grade), extract, each_reference(check), "json")
