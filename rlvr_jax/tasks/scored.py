"""Grading by scorers that others wrote, in processes that can be killed."""

import json
from collections.abc import Sequence

from rlvr_jax import verify
from rlvr_jax.tasks.base import Problem
from rlvr_jax.tasks.gym import EXECUTES_ANSWERS, REWARDS_ANYTHING
from rlvr_jax.tasks.style import Style, each_reference, spoken
from rlvr_jax.verify import extract

# Characters of a response and of a reference: the pool refuses longer jobs.
_LONGEST = 300_000
_LONGEST_REFERENCE = 30_000
# A worker makes a question anew, and these of every process are different.
_CHANGING = frozenset({"isomorphic_strings", "ransom_note"})
_ENTRY = {"dataset": str, "seed": int, "size": int, "index": int}


def gym() -> Style:
  """Returns grading of questions of reasoning-gym by their own scorers.

  A response without an answer, in tags or marked as `extract.answer` wants it,
  has reward 0. Many scorers give part of the reward to answers that are wrong.

  Raises:
    ImportError: reasoning-gym is not installed.
  """
  pool = verify.gym_pool()

  def grade(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[float | None]:
    asked = [(p.answer, p.question) for p in problems]
    answers = map(_marked, problems, texts)
    jobs = [a and (*p, a) for p, a in zip(asked, answers)]
    return _scores(pool, jobs)

  return Style(grade, _marked, each_reference(_check_entry), "entry")


def function(target: str) -> Style:
  """Returns grading by a user's own function.

  Args:
    target: "package.module:function", see `verify.function_pool`.

  Raises:
    ValueError: there is no such function, or it takes other arguments.
  """
  pool = verify.function_pool(target)

  def grade(
    problems: Sequence[Problem], texts: Sequence[str]
  ) -> list[float | None]:
    jobs = [
      (spoken(p, text), p.answer) if len(text) <= _LONGEST else None
      for p, text in zip(problems, texts)
    ]
    return _scores(pool, jobs)

  return Style(grade, _marked, each_reference(_check_length), "json")


def _scores(
  pool: verify.Pool, jobs: Sequence[tuple[str, ...] | None]
) -> list[float | None]:
  """The scores of jobs; 0 where there is nothing to score."""
  # Sorted, so that a worker prepares a question once for all its answers.
  distinct = sorted(set(jobs) - {None})
  found = dict(zip(distinct, pool.map(distinct)))
  return [0.0 if job is None else found[job] for job in jobs]


def _marked(problem: Problem, text: str) -> str | None:
  text = spoken(problem, text)
  return extract.tagged(text) or extract.answer(text)


def _check_entry(reference: str) -> str | None:
  try:
    entry = json.loads(reference)
  except (ValueError, RecursionError):
    entry = None
  kinds = isinstance(entry, dict) and {k: type(entry.get(k)) for k in _ENTRY}
  if kinds != _ENTRY:
    return "is no question of reasoning-gym; name datasets as gym:<dataset>"
  if entry["dataset"] in REWARDS_ANYTHING:
    return (
      f"the scorer of {entry['dataset']!r} gives 1 to any text, right or "
      "wrong; choose another dataset"
    )
  if entry["dataset"] in EXECUTES_ANSWERS:
    return (
      f"the scorer of {entry['dataset']!r} executes answers as Python; choose "
      "another dataset"
    )
  if entry["dataset"] in _CHANGING:
    return f"questions of {entry['dataset']!r} cannot be made again"
  return None


def _check_length(reference: str) -> str | None:
  if len(reference) <= _LONGEST_REFERENCE:
    return None
  return f"has more than {_LONGEST_REFERENCE} characters"
