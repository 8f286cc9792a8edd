import types

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import notes, stats, tasks
from rlvr_jax.tasks.tokenizer import CharTokenizer
from rlvr_jax.training import host
from rlvr_jax.types import Need, Responses
from rlvr_jax.verify import clusters


def responses(answers, group):
  n = len(answers)
  texts = [str(a) for a in answers]
  pieces = [list(t) for t in texts]
  return Responses([""] * n, texts, pieces, answers, np.array(group), 8)


def test_equal_answers_of_a_group_share_a_number_and_none_is_minus_one():
  found = notes.Answer().annotate(
    responses(["5", "7", None, "5", "5", None], [0, 0, 0, 0, 1, 1])
  )
  np.testing.assert_array_equal(found, [0, 1, -1, 0, 4, -1])


def test_answers_that_the_task_says_agree_are_one():
  problem = tasks.Problem("?", "", (), 0)
  extract = lambda problem, text: text[0]
  alike = clusters.both_ways(lambda a, b: a.lower() == b.lower())
  rows = ["ax", "bx", "Ax", "Bx"]
  batch = common.batch(np.zeros((4, 2)), None, np.ones((4, 2)))
  found = {}
  for agree in (None, tasks.agreeing(extract, alike)):
    task = types.SimpleNamespace(tokenizer=CharTokenizer("abxAB"), agree=agree)
    programs = types.SimpleNamespace(notes=(notes.ANSWER,))
    run = types.SimpleNamespace(programs=programs, task=task)
    answers = [text[0] for text in rows]
    said = host.annotate(run, batch, [problem] * 4, rows, answers)
    found[agree is None] = said[notes.ANSWER.key].tolist()
  assert found == {True: [0, 1, 2, 3], False: [0, 1, 0, 1]}


def hashed(of, prompts, texts, answers, **how):
  given = Responses(prompts, texts, [], answers, np.zeros(len(prompts)), 8)
  return notes.Hashed(of, **how).annotate(given).tolist()


def test_equal_answers_have_one_number_in_every_group_and_step():
  a, b, other, none = hashed(
    "answer", ["p", "q", "p", "p"], [""] * 4, ["5", "5", "7", None]
  )
  assert a == b != other and none == -1
  assert hashed("answer", ["r"], [""], ["5"]) == [a]
  # Part of every checkpoint: these numbers may not change.
  assert a == 9279904


def test_the_same_answer_to_another_prompt_may_have_another_number():
  of = ["p", "q", "p"], [""] * 3, ["5", "5", "5"]
  a, b, c = hashed("prompt_answer", *of)
  assert a == c != b
  a, b, c = hashed("prompt", *of)
  assert a == c != b


def test_numbers_lie_below_the_size():
  texts = [str(n) for n in range(50)]
  found = hashed("answer", texts, texts, texts, size=8)
  assert min(found) == 0 and max(found) == 7


def test_responses_share_a_gram_with_the_probability_that_it_is_in_both():
  texts = ["we try again", "We, try again!", "short", "", "a b c d e"]
  a, b, short, none, _ = hashed("grams", [""] * 5, texts, [None] * 5)
  assert a == b and short >= 0 and none == -1
  # Of two responses with 3 of 11 grams in common so many share their least.
  dice = np.random.default_rng(0)
  same = 0
  for _ in range(300):
    w = [str(x) for x in dice.integers(0, 10**9, 13)]
    pair = [" ".join(w[:8]), " ".join(w[3:13])]
    first, second = hashed("grams", [""] * 2, pair, [None] * 2)
    same += first == second
  assert abs(same / 300 - 3 / 11) < 0.08


def test_words_of_two_turns_do_not_join(tmp_path):
  path = tmp_path / "grams.txt"
  path.write_text("we can\n")
  need = Need(notes.StrategicGrams(str(path)), when="rollout")
  tokenizer = CharTokenizer("wecan ")
  rows = ["we canxx", "we xcanx", "wxe canx", "xxwe can"]
  counts = np.array([[c != "x" for c in row] for row in rows])
  # What does not count is of another's turn, whatever it says.
  said = [tokenizer.encode(row.replace("x", "a")) for row in rows]
  batch = common.batch(np.zeros(counts.shape), None, counts)
  batch = batch.replace(tokens=np.array([[0, *ids] for ids in said]))
  run = types.SimpleNamespace(
    programs=types.SimpleNamespace(notes=(need,)),
    task=types.SimpleNamespace(tokenizer=tokenizer, agree=None),
  )
  texts = ["".join(c for c in row if c != "x") for row in rows]
  found = host.annotate(run, batch, [], texts, [None] * len(rows))[need.key]
  want = [[c in "wecan" for c in row] for row in rows]
  want[2] = [False] * 8  # "w", "e can"
  np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("stat", [notes.Answer(), stats.Features()])
def test_what_is_known_once_a_step_cannot_be_needed_at_update(stat):
  with pytest.raises(ValueError, match="give when='rollout'"):
    Need(stat)
