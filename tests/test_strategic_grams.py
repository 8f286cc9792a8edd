"""Mining strategic grams, and the entropy of their use."""

import json
import subprocess
import sys

import numpy as np
import pytest

from experiments import mine_grams
from rlvr_jax.analysis import strategic_grams

SOLUTIONS = [
  "Let me check: a b c. Let me check, d e f.",
  "let me check g h i; but wait then j k l",
  "But wait then m n o",
  "p q r",
]


def alone(solutions, **options):
  return strategic_grams.mine(
    solutions, encoder=None, clusterer=None, lengths=(3,), **options
  )


def test_a_solution_counts_once_however_often_it_repeats_a_gram():
  # "x y z" three times in one solution, "a b c" in two.
  texts = ["x y z. x y z. x y z", "a b c", "a b c"]
  # 7 grams: "x y z", "y z x", "z x y", "a b c"; 20 % of 4 is one.
  assert alone(texts) == [("a", "b", "c")]


def test_each_gram_by_itself_is_ranked_by_its_solutions():
  found = alone(SOLUTIONS, least=2)
  assert found == [("but", "wait", "then")]  # ties by the alphabet
  found = alone(SOLUTIONS, least=2, keep=1.0)
  assert found == [("but", "wait", "then"), ("let", "me", "check")]


def test_all_members_of_a_kept_cluster_are_kept():
  texts = ["let me check", "lets us check", "a b c", "d e f"]
  encode = lambda grams: np.array([[float("check" in g)] for g in grams])
  cluster = lambda vectors: np.where(vectors[:, 0] > 0, 7, -1)
  found = strategic_grams.mine(texts, encode, cluster, lengths=(3,), keep=0.3)
  assert found == [("let", "me", "check"), ("lets", "us", "check")]


def test_lengths_run_from_three_to_five_words():
  found = strategic_grams.mine(["a b c d e f"], None, None, keep=1.0)
  assert sorted(map(len, found)) == [3, 3, 3, 3, 4, 4, 4, 5, 5]
  assert strategic_grams.mine(["a b"], None, None) == []


@pytest.mark.parametrize(
  "clusterer", [strategic_grams.hdbscan, strategic_grams.kmeans]
)
def test_the_clusters_of_scikit_learn_are_the_same_every_time(clusterer):
  pytest.importorskip("sklearn")
  mine = lambda: strategic_grams.mine(SOLUTIONS, clusterer=clusterer)
  found = mine()
  assert found and found == mine()
  assert strategic_grams.mine(["a b c"], clusterer=clusterer) == [
    ("a", "b", "c")
  ]


def test_grams_of_like_words_form_a_cluster():
  pytest.importorskip("sklearn")
  like = ["let me check this", "let me check that", "let me check it"]
  other = ["so x is seven", "then y is nine", "two plus three five"]
  vectors = strategic_grams.tfidf(like + other)
  np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
  labels = strategic_grams.hdbscan(vectors)
  assert labels[0] >= 0 and len(set(labels[:3])) == 1
  assert labels[0] not in labels[3:]


def test_many_grams_get_vectors_of_few_dimensions():
  pytest.importorskip("sklearn")
  letters = [f"w{chr(97 + i)}{chr(97 + j)}" for i in range(9) for j in range(9)]
  vectors = strategic_grams.tfidf(letters)
  assert vectors.shape == (81, 64)


def test_the_placebo_has_the_same_lengths_and_no_strategic_gram():
  grams = [
    ("let", "me", "check"),
    ("a", "b", "c"),
    ("but", "wait", "then", "j"),
  ]
  found = strategic_grams.placebo(SOLUTIONS, grams, seed=0)
  assert sorted(map(len, found)) == [3, 3, 4]
  assert not set(found) & set(grams)
  text = [" ".join(strategic_grams.words(s)) for s in SOLUTIONS]
  assert all(any(" ".join(g) in t for t in text) for g in found)
  assert found == strategic_grams.placebo(SOLUTIONS, grams, seed=0)
  assert found != strategic_grams.placebo(SOLUTIONS, grams, seed=1)


def test_the_semantic_entropy_is_that_of_the_shares_of_grams():
  entropy = strategic_grams.semantic_entropy
  assert entropy([3, 3, 3, 3]) == pytest.approx(np.log(4))
  assert entropy([5, 0]) == 0 and entropy([0, 0]) == 0 and entropy([]) == 0
  assert entropy([3, 1]) == pytest.approx(0.75 * np.log(4 / 3) + np.log(4) / 4)
  with pytest.raises(ValueError, match="-1"):
    entropy([2, -1])


def test_occurrences_are_counted_over_all_texts_and_may_overlap():
  grams = [("a", "a"), ("b",), ("a", "a", "a")]
  found = strategic_grams.counts(["A a, a b", "a", "b"], grams)
  np.testing.assert_array_equal(found, [2, 2, 1])


@pytest.mark.parametrize(
  "wrong",
  [
    {"keep": 0.0},
    {"lengths": ()},
    {"least": 0},
    {"encoder": None},
    {"clusterer": lambda vectors: [0]},
  ],
)
def test_what_cannot_be_mined_is_named(wrong):
  given = {"encoder": lambda texts: np.zeros((len(texts), 1))}
  with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
    strategic_grams.mine(SOLUTIONS, **given | wrong)


def command(*arguments):
  program = [sys.executable, "-m", "experiments.mine_grams", *arguments]
  return subprocess.run(program, capture_output=True, text=True)


def test_a_line_ends_at_a_line_feed_and_a_reward_is_a_number(tmp_path):
  source = tmp_path / "responses.jsonl"
  lines = [
    {"text": "one\u2028two\x85three"},
    {"text": "ungraded", "reward": None},
    {"text": "no number", "reward": "1"},
    {"text": "right", "reward": True},
  ]
  text = "\r\n".join(json.dumps(x, ensure_ascii=False) for x in lines)
  source.write_text(text, encoding="utf-8", newline="")
  found = mine_grams.solutions(source, "text")
  assert found == ["one\u2028two\x85three", "right"]


@pytest.mark.long
def test_the_command_writes_the_grams_of_right_solutions(tmp_path):
  source, target = tmp_path / "responses.jsonl", tmp_path / "grams.txt"
  lines = [{"text": s, "reward": 1.0} for s in SOLUTIONS]
  lines += [{"text": "wrong wrong wrong", "reward": 0.0}] * 9
  source.write_text("\n".join(map(json.dumps, lines)))
  given = (f"--responses={source}", f"--output={target}", "--clusters=none")
  ran = command(*given, "--keep=1")
  assert ran.returncode == 0, ran.stderr
  assert target.read_text().splitlines() == ["but wait then", "let me check"]
  ran = command(*given, "--field=answer")
  assert ran.returncode == 1 and "set --field" in ran.stderr
