"""reasoning-gym generators as tasks."""

import inspect
import re
import sys

import pytest

from rlvr_jax import tasks
from rlvr_jax.tasks import gym


@pytest.fixture(scope="module")
def chain_sum():
  pytest.importorskip("reasoning_gym")
  return tasks.load("gym:chain_sum", size=40, evaluation_size=10, seed=3)


def test_a_generator_becomes_a_task(chain_sum):
  assert chain_sum.name == "gym:chain_sum"
  assert (len(chain_sum.train), len(chain_sum.evaluation)) == (40, 10)
  for row in (*chain_sum.train, *chain_sum.evaluation):
    assert chain_sum.grade([row], [row.answer]) == [1]
    assert row.demonstrations == (row.answer,)
    assert chain_sum.extract(row, f" {row.answer}\n") == row.answer
    assert len(row.prompt) <= chain_sum.max_prompt_length
  assert set("0123456789") <= set(chain_sum.tokenizer.alphabet)


def test_a_generator_gives_the_same_problems_for_the_same_seed(chain_sum):
  again = tasks.load("gym:chain_sum", size=40, evaluation_size=10, seed=3)
  assert again.train == chain_sum.train


def test_questions_that_are_held_out_are_dropped_from_train():
  pytest.importorskip("reasoning_gym")
  # One term of one digit: at most ten questions.
  few = dict(min_terms=1, max_terms=1, min_digits=1, max_digits=1)
  task = tasks.load("gym:chain_sum", size=60, evaluation_size=3, **few)
  train = {p.prompt for p in task.train}
  held_out = {p.prompt for p in task.evaluation}
  assert not train & held_out
  assert len(train) == len(task.train) and len(held_out) == len(task.evaluation)
  with pytest.raises(ValueError, match="gym:chain_sum .* are held out"):
    tasks.load("gym:chain_sum", size=5, evaluation_size=200, **few)


def test_text_that_a_scorer_cannot_read_is_wrong_and_a_crash_is_unknown():
  rows = {"q": {"question": "q", "answer": "1"}}

  def score(text, entry):
    if text == "crash":
      raise MemoryError
    if text == "a key":
      return entry["no such"]
    if text == "a number":
      return len(7)
    if text == "a list":
      return [].items()
    return float(int(text))

  grade = gym.gym_entries.grader(score, rows)
  asked = tasks.Problem("q", "", ("1",), 0)
  assert grade(asked, "1") == 1.0
  for text in ("one", "a key", "a number", "a list"):
    assert grade(asked, text) == 0.0
  assert grade(asked, "crash") is None


def test_a_generator_without_reference_answers_needs_a_length():
  pytest.importorskip("reasoning_gym")
  sizes = dict(size=3, evaluation_size=2)
  with pytest.raises(ValueError, match="give max_response_length"):
    tasks.load("gym:rubiks_cube", **sizes)
  task = tasks.load("gym:rubiks_cube", max_response_length=9, **sizes)
  assert task.max_response_length == 9
  assert task.train[0].demonstrations == ()


def test_scorers_that_execute_answers_are_refused_by_default():
  pytest.importorskip("reasoning_gym")
  with pytest.raises(ValueError, match="'n_queens' executes the answer"):
    tasks.load("gym:n_queens")
  task = tasks.load(
    "gym:countdown", size=2, evaluation_size=1, execute_answers=True
  )
  row = task.train[0]
  assert task.grade([row], [row.answer]) == [1]


def test_a_scorer_that_rewards_any_text_is_refused_whatever_is_allowed():
  pytest.importorskip("reasoning_gym")
  with pytest.raises(ValueError, match="'game_of_life_halting' gives 1 to any"):
    tasks.load("gym:game_of_life_halting", execute_answers=True)


def test_every_scorer_that_executes_answers_is_listed():
  factory = pytest.importorskip("reasoning_gym").factory
  reviewed = {
    # These run only their own text: the question, the reference, generators.
    *("basic_arithmetic", "bitwise_arithmetic", "codeio", "number_sorting"),
    # Has a parser of its own by the same name.
    "propositional_logic",
  }
  runs = re.compile(r"\b(eval|exec|parse_expr|sympify)\(")
  found = {
    name
    for name, (generator, _) in factory.DATASETS.items()
    if runs.search(inspect.getsource(sys.modules[generator.__module__]))
  }
  assert found - reviewed == gym.EXECUTES_ANSWERS - {"composite"}


def test_an_unknown_dataset_names_the_nearest():
  pytest.importorskip("reasoning_gym")
  with pytest.raises(ValueError, match="'chain_sums'.*'chain_sum'"):
    tasks.load("gym:chain_sums")


@pytest.mark.parametrize(
  "name", ["size", "evaluation_size", "max_response_length"]
)
def test_sizes_of_a_generator_are_positive(name):
  pytest.importorskip("reasoning_gym")
  with pytest.raises(ValueError, match=f"gym: {name} = 0 must be >= 1"):
    tasks.load("gym:chain_sum", **{name: 0})


def test_without_reasoning_gym_the_error_says_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, "reasoning_gym", None)
  with pytest.raises(ImportError, match=r"pip install rlvr_jax\[envs\]"):
    tasks.load("gym:chain_sum")
