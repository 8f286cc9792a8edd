"""Clusters of answers, and the semantic entropy of them."""

import itertools

import numpy as np
import pytest

from rlvr_jax import notes, tasks, verify
from rlvr_jax.analysis import semantic_entropy
from rlvr_jax.types import Responses
from rlvr_jax.verify import canonical, clusters

# 0 = 1 = 2, but 0 is not 2; 3 is alone.
CHAIN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)


@pytest.fixture(scope="module")
def verifier():
  pytest.importorskip("math_verify")
  with verify.MathVerifier(workers=1) as made:
    yield made


def near(a, b):
  """Not transitive: 1 is near 2, 2 is near 3."""
  return abs(int(a) - int(b)) <= 1


def one(answers, *how):
  (found,) = clusters.cluster([answers], *how)
  return found.tolist()


def test_without_an_equality_equal_texts_are_one_cluster():
  assert one(["b", "a", None, "b"]) == [0, 1, -1, 0]
  assert one(["b", "B"], None, str.lower) == [0, 0]
  assert one([]) == [] and one([None, None]) == [-1, -1]


def test_an_answer_without_a_key_is_no_answer():
  assert one(["x" * 600, "y"], None, canonical.key) == [-1, 1]


def test_what_a_chain_of_equal_pairs_connects_is_one_cluster_in_any_order():
  answers = ["1", "2", "3", "9", "8", None]
  for order in itertools.permutations(range(6)):
    found = one([answers[i] for i in order], clusters.both_ways(near))
    same = {(order[i], order[j]) for i, j in _pairs(found)}
    want = {*itertools.permutations((0, 1, 2), 2), (3, 4), (4, 3)}
    assert same == want


def _pairs(numbers):
  for i, j in itertools.permutations(range(len(numbers)), 2):
    if numbers[i] == numbers[j] >= 0:
      yield i, j


def test_every_different_pair_of_all_groups_is_asked_once_in_one_call():
  calls = []

  def equal(pairs):
    calls.append(pairs)
    return [None] * len(pairs)

  groups = [["b", "a", "b"], ["a", "b", "c"], ["d"]]
  found = clusters.cluster(groups, equal)
  assert calls == [[("a", "b"), ("a", "c"), ("b", "c")]]
  # Unknown is not equal.
  assert [ids.tolist() for ids in found] == [[0, 1, 0], [0, 1, 2], [0]]


def test_a_function_of_two_texts_must_say_so_both_ways():
  entails = clusters.both_ways(lambda a, b: a in b)
  assert one(["ab", "a"], entails) == [0, 1]


def test_an_equality_that_loses_a_verdict_is_refused():
  with pytest.raises(ValueError, match="0 verdicts on 1 pairs"):
    clusters.cluster([["a", "b"]], lambda pairs: [])


def test_mathematics_joins_what_canonical_forms_cannot(verifier):
  answers = ["(x+1)^2", "x^2+2x+1", "0.5", r"\frac12", "x+1", "y=2", "2", "3"]
  want = [0, 0, 2, 2, 4, 5, 5, 7]
  assert one(answers, verifier.equal, canonical.key) == want
  back = one(answers[::-1], verifier.equal, canonical.key)
  assert {(7 - i, 7 - j) for i, j in _pairs(back)} == {*_pairs(want)}


def test_what_algebra_cannot_read_costs_its_time_once(verifier, monkeypatch):
  asked = []

  def compare(jobs):
    asked.extend(jobs)
    return [None if "!" in job[0] + job[1] else True for job in jobs]

  monkeypatch.setattr(verifier._pool, "map", compare)
  answers = ["9!!x", "x", "1x", "7", "9!y"]
  assert one(answers, verifier.equal, canonical.key) == [0, 1, 1, 1, 4]
  assert sum("!" in a + b for a, b in asked) == 2
  assert len({tuple(pair) for pair in asked}) == len(asked)


@pytest.mark.parametrize(
  ("rule", "want"),
  [
    ("closure", [0, 0, 0, 3]),
    ("first", [0, 0, 2, 3]),
    ("leader", [0, 0, 2, 3]),
  ],
)
def test_only_the_closure_joins_the_ends_of_a_chain(rule, want):
  assert clusters.partition(CHAIN, rule).tolist() == want


def test_a_leader_takes_later_answers_away_and_the_first_match_does_not():
  # 2 equals 0 and 1, which differ.
  equal = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
  assert clusters.partition(equal, "leader").tolist() == [0, 1, 1]
  assert clusters.partition(equal, "first").tolist() == [0, 1, 0]
  assert clusters.partition(equal).tolist() == [0, 0, 0]


def test_one_direction_is_enough_for_the_closure_of_a_matrix():
  assert clusters.partition([[True, False], [True, True]]).tolist() == [0, 0]
  assert clusters.partition(np.ones((0, 0))).tolist() == []


def test_a_rule_that_nobody_knows_is_refused():
  with pytest.raises(ValueError, match="rule = 'last' must be in"):
    clusters.partition(CHAIN, "last")


# Tasks.


def test_responses_agree_within_a_problem_alone():
  problems = [tasks.Problem(f"{i}?", "", (), i) for i in range(2)]
  extract = lambda problem, text: text or None
  agree = tasks.agreeing(extract, clusters.both_ways(near))
  asked = [problems[i] for i in (0, 1, 0, 1, 0)]
  assert agree(asked, ["5", "4", "4", "9", ""]) == ["4", "4", "4", "9", None]


@pytest.mark.parametrize(
  ("option", "agreed"), [("exact", False), ("math", True)]
)
def test_the_style_of_files_says_which_answers_are_one(option, agreed):
  pytest.importorskip("math_verify")
  style = tasks.style_of("math", option)
  assert (style.agree is not None) == agreed
  if agreed:
    problems = [tasks.Problem("?", "", (), 0)] * 3
    texts = [r"\boxed{x+x}", r"\boxed{2x}", "2x"]
    assert style.agree(problems, texts) == ["2x", "2x", None]


@pytest.mark.parametrize(
  "steps",
  [
    [[r"\boxed{0.5}"], [r"\boxed{\frac12}"], [r"\boxed{50\%}"]],
    [[r"\boxed{x+x}", r"\boxed{2x}"], [r"\boxed{2x}", r"\boxed{x+x}"]],
    [[r"\boxed{2}"], [r"\boxed{1+1}", r"\boxed{2.0}"]],
  ],
)
def test_an_answer_has_one_hash_in_whatever_step_and_order(steps):
  pytest.importorskip("math_verify")
  style = tasks.style_of("math", "math")
  problem, found = tasks.Problem("?", "", (), 0), set()
  for texts in steps:
    rows = [problem] * len(texts)
    answers = style.agree(rows, texts)
    group = np.zeros(len(texts), int)
    given = Responses(["?"] * len(texts), texts, [], answers, group, 8)
    found.update(notes.Hashed("answer").annotate(given).tolist())
  assert len(found) == 1 and found != {-1}


# Semantic entropy.


def test_two_of_three_alike_have_their_known_entropy():
  want = np.log(3) - 2 / 3 * np.log(2)
  assert semantic_entropy.discrete([0, 0, 1]) == pytest.approx(want)
  assert semantic_entropy.discrete([7, 7, 3]) == pytest.approx(want)
  # Three and no answer: each of its own.
  assert semantic_entropy.discrete([-1, -1, 5]) == pytest.approx(np.log(3))
  assert semantic_entropy.discrete([4, 4, 4]) == 0


def test_miller_madow_adds_what_the_plug_in_misses():
  corrected = semantic_entropy.discrete([0, 0, 1, 2], "miller_madow")
  plug_in = semantic_entropy.discrete([0, 0, 1, 2])
  assert corrected - plug_in == pytest.approx((3 - 1) / (2 * 4))


def test_equal_log_probs_weigh_samples_alike():
  ids = [0, 1, 0, 2, -1]
  for logp in (-0.1, -5000.0):
    found = semantic_entropy.weighted(ids, np.full(5, logp))
    assert found == pytest.approx(semantic_entropy.discrete(ids))


def test_merging_two_clusters_never_raises_the_entropy():
  logp = np.log([0.5, 0.2, 0.1, 0.2])
  apart = semantic_entropy.weighted([0, 1, 2, 3], logp)
  assert apart == pytest.approx(-(np.exp(logp) * logp).sum())
  for a, b in itertools.combinations(range(4), 2):
    ids = [a if i == b else i for i in range(4)]
    assert semantic_entropy.weighted(ids, logp) < apart


def test_the_monte_carlo_form_is_the_mean_over_clusters():
  logp = np.log([0.25, 0.25, 0.125])
  found = semantic_entropy.monte_carlo([0, 0, 1], logp)
  assert found == pytest.approx((np.log(2) + np.log(8)) / 2)
  assert semantic_entropy.naive(logp) == pytest.approx(-logp.mean())


def test_entailment_must_hold_both_ways_or_contradict_nowhere():
  implication = np.array([[2, 2, 0], [1, 2, 1], [2, 1, 2]])
  strict = semantic_entropy.equivalent(implication, strict=True)
  np.testing.assert_array_equal(strict, np.eye(3))
  loose = semantic_entropy.equivalent(implication)
  # 0 and 1: entailed and neutral. 1 and 2: neutral both ways.
  np.testing.assert_array_equal(loose, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
  "call",
  [
    lambda: semantic_entropy.discrete([]),
    lambda: semantic_entropy.discrete([0], "exact"),
    lambda: semantic_entropy.weighted([0, 1], [-1.0]),
    lambda: semantic_entropy.naive([]),
  ],
)
def test_samples_that_do_not_fit_are_refused(call):
  with pytest.raises(ValueError, match="pass|must be in"):
    call()
