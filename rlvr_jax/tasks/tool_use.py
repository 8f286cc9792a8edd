"""Grading of responses that call tools and answer in words."""

from rlvr_jax.tasks.base import Problem, each
from rlvr_jax.tasks.style import Style, each_reference, spoken
from rlvr_jax.verify import arpo as rule
from rlvr_jax.verify import formats, words


def arpo() -> Style:
  """Returns grading by the form and the words of a response, as ARPO does it.

  Rewards are not shares: -1 for a bad form, up to 1.1 for a right answer found
  with both tools.
  """

  def grade(problem: Problem, text: str) -> float:
    references = rule.parse(problem.answer)
    return rule.score(spoken(problem, text), references).reward

  def extract(problem: Problem, text: str) -> str | None:
    answer = formats.answer_box(spoken(problem, text))
    return " ".join(words.words(answer or "")) or None

  check = each_reference(_check)
  bounds = (rule.BAD_FORM, 1 + rule.BOTH_TOOLS)
  return Style(each(grade), extract, check, "json", bounds=bounds)


def _check(reference: str) -> str | None:
  try:
    rule.parse(reference)
  except ValueError as error:
    return str(error)
  return None
