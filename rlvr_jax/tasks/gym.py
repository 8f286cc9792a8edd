"""Any generator of reasoning-gym as a task."""

import difflib
import types
from collections.abc import Iterable

from rlvr_jax.tasks import gym_entries
from rlvr_jax.tasks.base import Task, each, max_lengths
from rlvr_jax.tasks.tokenizer import CharTokenizer

# Their `score_answer` runs the answer through `eval` or sympy's `parse_expr`,
# which executes any Python that the policy writes. ("composite" may hold one.)
EXECUTES_ANSWERS = frozenset(
  {
    "binary_matrix",
    "composite",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
  }
)
# Its `score_answer` asks whether two texts are empty, so any text is right.
REWARDS_ANYTHING = frozenset({"game_of_life_halting"})


def reasoning_gym_task(
  dataset: str,
  size: int = 1000,
  evaluation_size: int = 100,
  seed: int = 0,
  alphabet: str | None = None,
  max_response_length: int | None = None,
  execute_answers: bool = False,
  **options: object,
) -> Task:
  """Returns a generator of reasoning-gym as a task.

  One run of the generator gives both splits: the first `evaluation_size`
  questions are held out, the rest are to learn from. Questions that repeat are
  dropped, and so are those to learn from that are held out; the log says how
  many, so a split may be smaller than asked for.

  Answers are scored in this process by the generator's own `score_answer`,
  with no limit on time. An answer that it cannot read (ValueError, TypeError,
  AttributeError, LookupError) gets reward 0; when it fails otherwise, the
  reward is unknown.

  Args:
    dataset: name in reasoning-gym, for example "chain_sum".
    size: questions to generate to learn from, at least 1.
    evaluation_size: questions to generate to hold out, at least 1.
    seed: of the generator.
    alphabet: characters of the tokenizer; None takes those of the questions
      and reference answers and the ten digits, sorted.
    max_response_length: tokens, eos included; None takes the longest
      reference answer and its eos.
    execute_answers: allow the generators of `EXECUTES_ANSWERS`, which run
      what the policy writes as Python, in this process and as this user.
    **options: of the generator, for example `min_terms=2`.

  Returns:
    The task "gym:<dataset>"; reference answers that score 1 are the
    demonstrations, and the canonical answer is the text without outer spaces.

  Raises:
    ImportError: reasoning-gym is not installed.
    ValueError: an argument is out of its range, the dataset is unknown,
      executes answers or rewards any text, nothing is left to learn from, or
      there is no reference answer to take the response length from.
      reasoning-gym has errors of its own for `options`.
  """
  gym = _import_gym()
  _check_dataset(dataset, gym.factory.DATASETS)
  _check_scorer(dataset, execute_answers)
  _check_sizes(size, evaluation_size, max_response_length)
  source = gym.create_dataset(
    dataset, seed=seed, size=evaluation_size + size, **options
  )
  learned, held_out = gym_entries.disjoint(
    dataset, list(source), evaluation_size
  )
  grade = gym_entries.grader(source.score_answer, learned | held_out)
  train = gym_entries.problems(learned, grade)
  evaluation = gym_entries.problems(held_out, grade)
  problems = [*train, *evaluation]
  if alphabet is None:
    alphabet = gym_entries.alphabet(problems)
  tokenizer = CharTokenizer(alphabet)
  prompt_length, longest = max_lengths(problems, tokenizer)
  return Task(
    name=f"gym:{dataset}",
    train=train,
    evaluation=evaluation,
    tokenizer=tokenizer,
    grade=each(grade),
    extract=lambda problem, text: text.strip() or None,
    max_prompt_length=prompt_length,
    max_response_length=_response_length(dataset, max_response_length, longest),
  )


def entries(dataset: str, size: int, seed: int) -> Iterable[gym_entries.Entry]:
  """Returns questions with their reference answers, and no scorer.

  Args:
    dataset: name in reasoning-gym.
    size: how many, at least 1.
    seed: of the generator.

  Raises:
    ImportError: reasoning-gym is not installed.
    ValueError: the dataset is unknown.
  """
  gym = _import_gym()
  _check_dataset(dataset, gym.factory.DATASETS)
  return gym.create_dataset(dataset, seed=seed, size=size)


def _import_gym() -> types.ModuleType:
  try:
    import reasoning_gym
  except ImportError as error:
    raise ImportError(
      "Tasks named gym:<dataset> need the package reasoning-gym; install it "
      "with: pip install rlvr_jax[envs]"
    ) from error
  return reasoning_gym


def _check_dataset(dataset: str, known: Iterable[str]) -> None:
  if dataset not in known:
    near = difflib.get_close_matches(dataset, known, n=3, cutoff=0.0)
    raise ValueError(
      f"reasoning-gym has no dataset {dataset!r}; the nearest are {near}. "
      "List all with: sorted(reasoning_gym.factory.DATASETS)"
    )


def _check_scorer(dataset: str, execute_answers: bool) -> None:
  if dataset in REWARDS_ANYTHING:
    raise ValueError(
      f"The scorer of {dataset!r} gives 1 to any text, right or wrong. Choose "
      "another dataset."
    )
  if dataset in EXECUTES_ANSWERS and not execute_answers:
    raise ValueError(
      f"The scorer of {dataset!r} executes the answer as Python. Choose "
      "another dataset or, on a machine that may be lost, give "
      "execute_answers=True."
    )


def _check_sizes(
  size: int, evaluation_size: int, max_response_length: int | None
) -> None:
  for name, value in (
    ("size", size),
    ("evaluation_size", evaluation_size),
    ("max_response_length", max_response_length),
  ):
    if value is not None and value < 1:
      raise ValueError(f"gym: {name} = {value} must be >= 1.")


def _response_length(dataset: str, asked: int | None, longest: int) -> int:
  if asked is not None:
    return asked
  if longest == 1:  # An eos alone.
    raise ValueError(
      f"gym:{dataset} has no reference answers to take a length from; give "
      "max_response_length, in tokens."
    )
  return longest
