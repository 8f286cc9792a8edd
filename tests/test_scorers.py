"""Styles of grading by scorers that others wrote: users and reasoning-gym."""

import json
import pathlib
import sys

import pytest

from rlvr_jax import tasks
from rlvr_jax.tasks import gym, sources
from rlvr_jax.verify import extract, scorers

MODULE = """
import os, time

def reward(response, reference):
  if response == "loops":
    while True:
      pass
  if response == "leaves":
    os._exit(1)
  if response == "cannot tell":
    return None
  return 0.5 * response.startswith("<think>") + 0.5 * (reference in response)

def more(response, reference, third):
  return 1.0

def optional(response, reference, third=3):
  return True

number = 7
"""
RUN = "__import__('os').mkdir({!r})"


@pytest.fixture
def module(tmp_path, monkeypatch):
  """A module of the user's, where this process would find it."""
  (tmp_path / "my_rewards.py").write_text(MODULE)
  (tmp_path / "broken_rewards.py").write_text("import surely_not_there")
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(scorers, "_SECONDS", 0.2)
  return "my_rewards"


@pytest.fixture(scope="module")
def gym_style():
  pytest.importorskip("reasoning_gym")
  return tasks.style_of("gym")


def problem(answer, question="q"):
  return tasks.Problem(f"<user>{question}", answer, (), 0, question=question)


def grade(style, answer, texts, question="q"):
  return style.grade([problem(answer, question)] * len(texts), texts)


# A user's own function.


def test_a_user_s_function_grades_in_processes_that_can_be_killed(module):
  style = tasks.style_of(f"python:{module}:reward")
  texts = ["7", "loops", "<think>", "leaves", "<think>7", "cannot tell", "8"]
  found = grade(style, "7", texts)
  assert found == [0.5, None, 0.5, None, 1.0, None, 0.0]
  assert module not in sys.modules
  assert style.extract(problem("7"), "so \\boxed{7}") == "7"


def test_a_function_sees_the_tag_that_the_prompt_left_open(module):
  style = tasks.style_of(f"python:{module}:reward")
  asked = problem("7")._replace(prompt="<user>q<assistant><think>\n")
  assert style.grade([asked], ["well</think>7"]) == [1.0]


def test_a_function_composes_the_rewards_of_the_library(tmp_path, monkeypatch):
  page = pathlib.Path(__file__).parent.parent / "docs" / "data.md"
  code = page.read_text().partition("```python\n")[2].partition("```")[0]
  (tmp_path / "rewards.py").write_text(code)
  monkeypatch.syspath_prepend(str(tmp_path))
  style = tasks.style_of("python:rewards:reward")
  texts = ["<answer>7</answer>", "<think>\n\n</think>\n<answer>\n8\n</answer>"]
  assert grade(style, "7", texts) == pytest.approx([0.9, 0.1])


def test_a_function_may_have_more_arguments_if_they_are_optional(module):
  style = tasks.style_of(f"python:{module}:optional")
  assert grade(style, "7", ["a"]) == [1.0]


def test_a_long_response_arrives_whole_and_a_huge_one_earns_nothing(module):
  style = tasks.style_of(f"python:{module}:reward")
  long = "\U0001f600" * 250_000 + "7"
  assert grade(style, "7", [long, long * 2]) == [0.5, 0.0]
  assert style.check(["x" * 40_000])[0] == "has more than 30000 characters"
  assert style.check(["x"]) == [None]


@pytest.mark.parametrize(
  ("target", "parts"),
  [
    ("no_such_rewards:reward", ["No module named 'no_such_rewards'"]),
    ("broken_rewards:reward", ["No module named 'surely_not_there'"]),
    ("my_rewards:rewards", ["has no attribute 'rewards'"]),
    ("my_rewards:number", ["my_rewards:number is 7 and no function"]),
    (
      "my_rewards:more",
      ["must take (response, reference): missing a required argument: 'third'"],
    ),
  ],
)
def test_a_function_that_cannot_be_used_is_told_when_data_are_loaded(
  target, parts, module
):
  with pytest.raises(ValueError) as caught:
    tasks.style_of(f"python:{target}")
  told = str(caught.value)
  assert all(part in told for part in [repr(target), *parts]), told


@pytest.mark.parametrize(
  "target", ["", "reward", "a.b", "a:", ":f", "a-b:f", "a:f()"]
)
def test_a_name_that_is_no_function_s_is_told_before_anything_is_read(target):
  with pytest.raises(ValueError, match="package.module:function"):
    tasks.FilesOptions(evaluation=("gym:gcd",), style=f"python:{target}")


# Scorers of reasoning-gym.


def row(dataset, seed=3, index=0):
  pytest.importorskip("reasoning_gym")
  rows = list(sources.read(f"gym:{dataset}:5", reference="entry", seed=seed))
  return rows[index]


def test_questions_of_reasoning_gym_are_graded_by_their_own_scorers(gym_style):
  asked = row("chain_sum", index=2)
  entry = json.loads(asked.answer)
  assert entry.keys() == {"dataset", "seed", "size", "index", "answer"}
  right = entry["answer"]
  texts = [
    f"<think>7</think> so <answer> {right} </answer>",
    f"\\boxed{{{right}}}",
    f"<answer>{right}</answer> no, <answer>{int(right) + 1}</answer>",
    f"<think>\\boxed{{{right}}}",
    right,
    "",
  ]
  found = grade(gym_style, asked.answer, texts, asked.question)
  assert found == [1, 1, 0, 0, 0, 0]
  assert gym_style.extract(problem(asked.answer), texts[0]) == right


def test_a_question_without_a_reference_answer_is_graded(gym_style):
  asked = row("rubiks_cube")
  assert json.loads(asked.answer)["answer"] is None
  assert gym_style.check([asked.answer]) == [None]
  text = "<answer>no</answer>"
  (score,) = grade(gym_style, asked.answer, [text], asked.question)
  assert score is not None and score < 1


def test_a_scorer_may_give_part_of_the_reward(gym_style):
  asked = row("chain_sum")
  right = json.loads(asked.answer)["answer"]
  text = f"<answer>{right} or so</answer>"
  (score,) = grade(gym_style, asked.answer, [text], asked.question)
  assert 0 < score < 1


@pytest.mark.parametrize(
  ("dataset", "answer"),
  [
    ("boxnet", "[1, 2]"),
    ("boxnet", "1"),
    ("boxnet", '"a"'),
    ("game_of_life", "{}"),
    ("prime_factorization", "many"),
  ],
)
def test_an_answer_of_another_shape_is_wrong_and_not_unknown(
  dataset, answer, gym_style
):
  asked = row(dataset)
  text = f"<answer>{answer}</answer>"
  assert grade(gym_style, asked.answer, [text], asked.question) == [0.0]


def test_a_question_that_is_another_one_is_unknown(gym_style):
  asked = row("chain_sum")
  assert grade(gym_style, asked.answer, ["<answer>1</answer>"], "What?") == [
    None
  ]


@pytest.mark.parametrize(
  ("reference", "message"),
  [
    ("7", "is no question of reasoning-gym"),
    ("no", "is no question of reasoning-gym"),
    ('{"dataset": "gcd", "seed": 0, "size": "5", "index": 0}', "no question"),
    ('{"dataset": "gcd", "seed": 0, "size": 5}', "no question"),
  ],
)
def test_a_reference_that_is_no_question_is_told(reference, message, gym_style):
  assert message in gym_style.check([reference])[0]


@pytest.mark.parametrize("dataset", sorted(gym.EXECUTES_ANSWERS))
def test_scorers_that_execute_answers_are_refused(dataset, gym_style):
  entry = dict(dataset=dataset, seed=0, size=5, index=0, answer="1")
  told = gym_style.check([json.dumps(entry)])[0]
  assert f"the scorer of {dataset!r} executes answers as Python" in told


def test_a_scorer_that_rewards_any_text_is_refused(gym_style):
  told = gym_style.check([row("game_of_life_halting").answer])[0]
  assert "'game_of_life_halting' gives 1 to any text" in told
  assert "choose another dataset" in told


def test_generators_whose_questions_cannot_be_made_again_are_refused(
  gym_style,
):
  entry = dict(dataset="ransom_note", seed=0, size=5, index=0, answer="1")
  assert "cannot be made again" in gym_style.check([json.dumps(entry)])[0]


@pytest.mark.long
def test_a_worker_makes_the_questions_of_every_other_generator_again(gym_style):
  from reasoning_gym import factory

  for dataset in sorted(set(factory.DATASETS) - gym.EXECUTES_ANSWERS):
    asked = row(dataset)
    if gym_style.check([asked.answer]) == [None]:
      texts = ["<answer>no</answer>"]
      found = grade(gym_style, asked.answer, texts, asked.question)
      assert None not in found, dataset


def test_no_scorer_runs_what_an_answer_says(tmp_path, gym_style):
  canary = tmp_path / "canary"
  for dataset in ("number_sorting", "decimal_arithmetic", "complex_arithmetic"):
    asked = row(dataset)
    text = f"<answer>{RUN.format(str(canary))}</answer>"
    grade(gym_style, asked.answer, [text], asked.question)
  assert not canary.exists()


# Answers in tags.


@pytest.mark.parametrize(
  ("text", "answer"),
  [
    ("<answer> 1\n2 </answer>", "1\n2"),
    ("<answer>1</answer><answer>2</answer> so", "2"),
    ("<answer>1 <answer>2</answer>", "2"),
    ("<answer>1</answer><answer>2", "1"),
    ("<think><answer>1</answer></think>2", None),
    ("<think></think><answer>1</answer>", "1"),
    ("<think><answer>1</answer>", None),
    ("<answer> </answer>", None),
    ("</answer><answer>", None),
    ("1</answer>", None),
    ("<answer>" + "1" * 5000 + "</answer>", None),
    ("", None),
  ],
)
def test_the_answer_in_the_last_tags_is_found(text, answer):
  assert extract.tagged(text) == answer
