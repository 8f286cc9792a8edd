"""From records and runs to figures, and from figures to pictures."""

import math

import numpy as np
import pytest

from rlvr_jax.analysis import entropy_target
from rlvr_jax.evaluation import analyses
from rlvr_jax.evaluation.records import Record
from rlvr_jax.report import (
  cliff,
  redundancy,
  strategies,
  style,
  support,
  targets,
  utility,
)
from rlvr_jax.report.runs import Run
from rlvr_jax.report.strategies import Variety


def record(id, right, answers="4455", entropy=0.5, texts=()):
  n = len(right)
  return Record(
    "a", id, f"{id}?", "4", [None if a == "-" else a for a in answers], right,
    [10] * n, [False] * n, [entropy] * n, list(texts),
  )  # fmt: skip


T, F = True, False
BASE = [
  record("1", [T, F, F, F]),
  record("2", [F, F, F, F]),
  record("3", [F, T, F, F]),
  record("4", [F, None, F, F]),
]
# In another order: kept 1, gained 2, lost 3, out 4.
TRAINED = [
  record("1", [T, T, T, T]),
  record("3", [F, F, F, F]),
  record("2", [T, F, F, T]),
  record("4", [F, F, F, F]),
]


def shown(figure):
  """The picture, as whoever looks at the file gets it."""
  with style.context():
    return style.png(figure)


def words(figure):
  """All texts of a figure."""
  found = [figure.get_suptitle()] + [t.get_text() for t in figure.findobj()
           if hasattr(t, "get_text")]  # fmt: skip
  return " ".join(found)


# Support.


def test_problems_are_kept_gained_lost_or_out_whatever_their_order():
  found = analyses.support_of(BASE, TRAINED)
  assert found.counts == (1, 1, 1, 1)
  assert found.rates == pytest.approx((0.5, 0.5, 0.5, 0))
  assert all(a <= b <= c for a, b, c in zip(found.low, found.rates, found.high))
  turned = analyses.support_of(TRAINED[:3], BASE[:3])
  assert turned.counts == (1, 1, 1, 0)


def test_evaluations_of_other_problems_or_samples_are_not_compared():
  with pytest.raises(ValueError, match=r"1 problems, \['a/4'\]"):
    analyses.support_of(BASE, TRAINED[:3])
  fewer = [record("1", [T, F], "44")]
  with pytest.raises(ValueError, match=r"\[2, 4\] samples"):
    analyses.support_of(BASE[:1], fewer)
  with pytest.raises(ValueError, match="hold none"):
    analyses.support_of([], [])


def test_the_picture_of_support_has_a_row_for_each_policy():
  found = analyses.support_of(BASE, TRAINED)
  figure = support.support({"GRPO": found, "AEPO $": found})
  shares = figure.axes[0]
  assert [t.get_text() for t in shares.get_yticklabels()] == [
    "GRPO",
    r"AEPO \$",
  ]
  assert [p.get_width() for p in shares.patches] == [0.25] * 8
  assert shown(figure)


def test_entropies_of_tokens_and_answers_are_means_over_problems():
  found = analyses.entropies_of([
    record("1", [T] * 4, "4444", 0.2), record("2", [F] * 4, "1234", 0.6)
  ])  # fmt: skip
  assert found == pytest.approx((0.4, math.log(4) / 2))
  figure = support.entropies({"GRPO": [found, (0.5, 0.1)]})
  (line, after, before) = figure.axes[0].get_lines()
  np.testing.assert_allclose(line.get_xdata(), [0.4, 0.5])
  assert len(after.get_xdata()) == 1 and before.get_xdata()[0] == found.token
  assert shown(figure)


# Redundancy.


def test_responses_that_differ_in_wording_alone_are_redundant():
  texts = ["so 4", "thus 4", "5", "5"]
  found = analyses.split_of([record("1", [T] * 4, "4455", texts=texts)], 0.7)
  # Two texts of a quarter, one of a half; two answers of a half.
  assert found == pytest.approx(
    (0.7, math.log(2), 1.5 * math.log(2) - math.log(2))
  )
  all_same = analyses.split_of([record("1", [T] * 4, "4444", texts=texts)], 0.7)
  assert all_same.outcome == 0 and all_same.redundant > 0
  with pytest.raises(ValueError, match="1 texts of 4 samples"):
    analyses.split_of([record("1", [T] * 4, texts=["a"])], 1)


def run(label="a", target=None, **series):
  chain = {"chain": ["aepo"], "aepo": {"target_entropy": target}}
  metrics = {
    name.replace("__", "/"): (np.arange(len(v)), np.array(v, float))
    for name, v in series.items()
  }
  return Run(label, chain if target else {}, metrics, label)


def test_the_parts_of_a_run_add_up_and_are_drawn_in_order():
  names = ("action_redundancy/answer_entropy", "action_redundancy/redundancy")
  one = run(**{names[0]: [1.5, 0.5], names[1]: [0.5, 1.5]})
  splits = redundancy.of_run(one)
  assert splits == [(0, 1.5, 0.5), (1, 0.5, 1.5)]
  figure = redundancy.redundancy(splits[::-1])
  outcome, whole = figure.axes[0].get_lines()
  np.testing.assert_array_equal(outcome.get_ydata(), [1.5, 0.5])
  np.testing.assert_array_equal(whole.get_ydata(), [2, 2])
  assert shown(figure)
  assert redundancy.of_run(run()) == []
  with pytest.raises(ValueError, match="coef = 0"):
    redundancy.redundancy([])


# Variety of answers and plans.


def test_answers_and_plans_have_entropies_of_their_own():
  grams = [("let", "me", "check"), ("but", "wait", "then"), ("a", "b", "c")]
  texts = ["Let me check. But wait then", "let me check", "let me check", "x"]
  one = record("1", [T, F, F, F], "4--4", 0.3, texts)
  found = analyses.variety_of([one, one], grams, step=7)
  # The two without an answer are of their own: 1/2, 1/4, 1/4.
  plan = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
  want = (7, 0.3, 1.5 * math.log(2), plan, 2)
  assert found == pytest.approx(want)
  none = analyses.variety_of([one], grams[2:], step=8)
  assert none.plan == 0 and none.grams == 0


def test_every_figure_of_variety_has_a_panel_with_a_line_for_each_label():
  its = [Variety(0, 1, 2, 3, 4), Variety(10, 0.5, 1, 4, 9)]
  figure = strategies.strategies({"GRPO": its, "HICRA": its})
  assert len(figure.axes) == len(strategies.PANELS) == 4
  for axes, field in zip(figure.axes, strategies.PANELS):
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_xdata(), [0, 10])
    np.testing.assert_array_equal(
      second.get_ydata(), [getattr(each, field) for each in its]
    )
  assert shown(figure)


# Entropy and its target.


def test_a_run_is_held_once_it_stays_near_its_target():
  entropy = [2, 1, 0.5, 0.62, 0.45, 0.5, 0.55]
  found = entropy_target.held(entropy, 0.5, last=0.3)
  assert found.mean == pytest.approx(0.525) and found.settled == 4
  assert found.error == pytest.approx(0.025)
  assert found.spread == pytest.approx(0.025)
  assert entropy_target.held([0.5, 0.5], 0.5).settled == 0
  assert entropy_target.held([0.5, 0.0], 0.5).settled is None
  assert entropy_target.held([0.5, np.nan], 0.5).settled is None
  with pytest.raises(ValueError, match="at least one"):
    entropy_target.held([], 0.5)


@pytest.mark.parametrize(
  ("accuracy", "want"),
  [
    ([0.3, 0.6, 0.5], (0.5, 0.6, True, True)),  # rises first, then falls
    ([0.3, 0.5, 0.6], (1.0, 0.6, True, False)),
    ([0.6, 0.5, 0.3], (0.25, 0.6, False, True)),
    ([0.6, 0.6, 0.6], (0.25, 0.6, False, True)),
  ],
)
def test_the_best_target_and_on_which_sides_others_are_worse(accuracy, want):
  order = [2, 0, 1]
  at = np.array([0.25, 0.5, 1.0])[order]
  assert entropy_target.peak(at, np.array(accuracy)[order]) == want


def test_a_target_that_comes_twice_is_refused():
  up_and_down = entropy_target.peak([1, 2, 3, 4], [0.1, 0.0, 0.5, 0.2])
  assert not up_and_down.rises and up_and_down.falls
  with pytest.raises(ValueError, match="average over seeds"):
    entropy_target.peak([1, 1], [0.1, 0.2])


def sweep():
  solved = {0.25: 0.4, 0.5: 0.6, 1.0: 0.5}
  for target, share in solved.items():
    for seed in (-1, 1):
      yield run(
        "AEPO", target, policy__entropy=[3, 2, target + 0.01 * seed],
        **{"eval/pass@1": [0, share + 0.01 * seed]},
        **{"eval/pass@16": [0.5, 0.9]},
      )  # fmt: skip
  yield run("GRPO", policy__entropy=[3, 0.1, 0.1], **{"eval/pass@1": [0, 0.3]})


def test_seeds_of_a_target_are_averaged_and_the_best_one_is_inside():
  runs = list(sweep())
  table = targets.by_target(targets.reached(runs), "pass@1")
  assert list(table) == [0.25, 0.5, 1.0]
  np.testing.assert_allclose(table[0.5], [0.59, 0.61])
  best = targets.best(runs)
  assert best == pytest.approx((0.5, 0.6, True, True))
  held = targets.held(runs)
  assert held.keys() == {"AEPO"} and len(held["AEPO"]) == 6
  assert held["AEPO"][0].error == pytest.approx(-0.01)


def test_entropy_and_accuracy_are_drawn_against_the_target():
  figure = targets.targets(list(sweep()))
  left, right = figure.axes
  line = left.get_lines()[0]
  np.testing.assert_array_equal(line.get_xdata(), [0.25, 0.5, 1.0])
  np.testing.assert_allclose(line.get_ydata(), [0.25, 0.5, 1.0])
  np.testing.assert_allclose(right.get_lines()[0].get_ydata(), [0.4, 0.6, 0.5])
  dashed = [x for x in right.get_lines() if x.get_linestyle() != "-"]
  flat = {y for line in dashed for y in line.get_ydata()}
  assert flat == {0.3}  # of GRPO alone
  assert "pass@16" in words(figure) and shown(figure)
  assert targets.targets([run(policy__entropy=[1, 2])]) is None
  assert targets.best([run(policy__entropy=[1, 2])]) is None


# Pictures of other analyses.


def test_the_step_of_the_best_policy_becomes_a_slope():
  figure = cliff.cliff()
  hard, *soft = [
    line for line in figure.axes[0].get_lines() if len(line.get_xdata()) > 3
  ]
  middle = len(hard.get_xdata()) // 2
  assert hard.get_ydata()[middle] == 0
  assert set(np.delete(hard.get_ydata(), middle)) == {0.5}
  for alpha, line in zip((0.01, 0.1, 1), soft):
    x = line.get_xdata()
    np.testing.assert_allclose(
      line.get_ydata(), np.abs(np.tanh(x / (2 * alpha))) / 2, atol=1e-12
    )
  dotted = [
    line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 3
  ]
  rise = [line.get_ydata()[-1] / line.get_xdata()[-1] for line in dotted]
  np.testing.assert_allclose(rise, [25, 2.5, 0.25], rtol=1e-6)
  assert shown(figure)


@pytest.mark.parametrize("sources", [["a"], ["a", "b$", "c"]])
def test_curves_of_right_and_wrong_solutions_have_a_panel_each_source(sources):
  from rlvr_jax.analysis.reasoning_utility import average

  band = average(np.linspace([2, 2], [1, 0.5], 20).T, ["p", "q"], seed=0)
  bands = {source: {"right": band, "wrong": band} for source in sources}
  bands[sources[-1]].pop("right")
  figure = utility.utility(bands)
  assert len(figure.axes) == len(sources)
  assert f"{2 * len(sources)} wrong" in words(figure)
  for axes, of in zip(figure.axes, bands.values()):
    assert len(axes.get_lines()) == len(of)
  assert shown(figure)
