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
