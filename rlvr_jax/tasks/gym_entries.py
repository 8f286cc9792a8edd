"""What reasoning-gym generates, as problems and a grading function."""

from collections.abc import Callable, Mapping, Sequence

from absl import logging

from rlvr_jax.tasks.base import Problem

# One question with its answer and metadata, as reasoning-gym generates it.
Entry = Mapping[str, object]

# What Python says of text that cannot be parsed, or has another shape.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


def disjoint(
  dataset: str, entries: Sequence[Entry], evaluation_size: int
) -> tuple[dict[str, Entry], dict[str, Entry]]:
  """Returns the entries to learn from and those held out, by question.

  Args:
    dataset: name for messages.
    entries: those to hold out first.
    evaluation_size: how many of them to hold out.

  Returns:
    (learned, held out), with no question twice or in both.

  Raises:
    ValueError: nothing is left to learn from.
  """
  held_out = {e["question"]: e for e in entries[:evaluation_size]}
  learned = {
    e["question"]: e
    for e in entries[evaluation_size:]
    if e["question"] not in held_out
  }
  dropped = len(entries) - len(held_out) - len(learned)
  if not learned:
    raise ValueError(
      f"All questions of gym:{dataset} to learn from are held out; ask for a "
      "larger `size`, a smaller `evaluation_size` or harder options."
    )
  if dropped:
    logging.warning(
      "gym:%s: dropped %d of %d questions that repeat or are held out; %d are "
      "left to learn from, %d to evaluate on.",
      *(dataset, dropped, len(entries), len(learned), len(held_out)),
    )
  return learned, held_out


def grader(
  score: Callable[[str, Entry], float], entries: Mapping[str, Entry]
) -> Callable[[Problem, str], float | None]:
  """Returns the grading function of a task.

  Args:
    score: (text, entry) to the reward.
    entries: those of both splits, by question.

  Returns:
    A function that gives 0 for text that `score` cannot read, and None where
    `score` fails otherwise.
  """

  def grade(problem: Problem, text: str) -> float | None:
    entry = entries[problem.prompt]
    try:
      return float(score(text, entry))
    except _UNREADABLE:
      return 0.0
    except Exception:  # Anything else says nothing about the answer.
      logging.exception("Scoring %.200r failed; its reward is unknown.", text)
      return None

  return grade


def problems(
  entries: Mapping[str, Entry],
  grade: Callable[[Problem, str], float | None],
) -> list[Problem]:
  """Returns the entries as problems.

  Args:
    entries: those of one split, by question.
    grade: decides whether a reference answer is a demonstration.

  Returns:
    One problem per entry, in order.
  """
  rows = []
  for index, (question, entry) in enumerate(entries.items()):
    # Some generators have no reference answer, only a scorer.
    answer = entry["answer"] or ""
    problem = Problem(question, answer, (), index)
    if answer and grade(problem, answer) == 1:
      problem = problem._replace(demonstrations=(answer,))
    rows.append(problem)
  return rows


def alphabet(problems: Sequence[Problem]) -> str:
  """Returns the characters of all prompts and answers and the digits, sorted.

  Args:
    problems: those of both splits.

  Returns:
    Each character once.
  """
  # The digits are there even if no reference answer happens to have them all.
  texts = [text for p in problems for text in (p.prompt, p.answer)]
  return "".join(sorted(set("0123456789").union(*texts)))
