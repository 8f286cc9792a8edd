"""Claims: the rule that judges them, and the page of what came out."""

import dataclasses
import json
import pathlib
import pkgutil

import numpy as np
import pytest
from scipy import stats

from experiments import claims as package
from experiments.claiming import (
  collected,
  outcome,
  page,
  program,
  record,
  rule,
)
from experiments.claiming.record import Base, Claim, Part
from rlvr_jax.report import style
from rlvr_jax.report.runs import Run, Series, by_label
from rlvr_jax.training import config as config_lib

CLAIMS = collected.claims()
OUTCOMES = {path.stem: path for path in collected.KEPT.glob("*.json")}


def judged(values, side="above", bound=0.1):
  part = Part("x", side, bound, "made up")
  return rule.verdict(part, rule.interval(values))


@pytest.mark.parametrize(
  ("values", "verdict"),
  [
    ([0.2, 0.21, 0.22], "shown"),
    ([0.05, 0.2, 0.3], "not shown"),  # the interval holds the bound
    ([0.01, 0.02, 0.01], "not shown"),  # smaller than claimed, not contrary
    ([-0.05, -0.06, -0.05], "not shown"),  # too small to be contrary
    ([-0.2, -0.21, -0.22], "contrary"),
  ],
)
def test_a_claim_is_shown_or_contrary_only_if_the_whole_interval_is(
  values, verdict
):
  assert judged(values) == verdict
  mirrored = [-x for x in values]
  assert judged(mirrored, side="below", bound=-0.1) == verdict


@pytest.mark.parametrize(
  ("values", "verdict"),
  [
    ([0.0, -0.01, 0.01], "shown"),  # nothing lost
    ([-0.1, 0.1, 0.0], "not shown"),
    ([-0.2, -0.21, -0.2], "contrary"),
  ],
)
def test_a_negative_bound_says_that_no_more_than_it_is_lost(values, verdict):
  assert judged(values, bound=-0.05) == verdict


def test_an_interval_holds_the_true_mean_in_95_of_100_cases():
  draws = np.random.default_rng(0).normal(0.3, 2.0, (1000, 5))
  found = [rule.interval(x) for x in draws]
  held = np.mean([i.low < 0.3 < i.high for i in found])
  assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1000)
  low, high = stats.bootstrap((draws[0],), np.mean, rng=0).confidence_interval
  assert found[0].low < low < found[0].mean < high < found[0].high


@pytest.mark.parametrize("values", [[0.1], [0.1, np.nan]])
def test_figures_without_an_interval_are_refused(values):
  with pytest.raises(ValueError, match="two and finite"):
    rule.interval(values)


@pytest.mark.parametrize(
  ("verdicts", "whole"),
  [
    (["shown", "shown"], "shown"),
    (["shown", "not shown"], "not shown"),
    (["shown", "contrary", "not shown"], "contrary"),
  ],
)
def test_a_claim_is_as_good_as_the_worst_of_its_parts(verdicts, whole):
  assert rule.together(verdicts) == whole


def test_every_module_of_claims_is_on_the_page():
  modules = {m.name for m in pkgutil.iter_modules(package.__path__)}
  assert modules - {"table"} == set(collected.NAMES)
  assert len(set(collected.NAMES)) == len(collected.NAMES)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.name)
def test_a_claim_can_be_run(claim):
  assert claim.name in collected.NAMES
  assert len(claim.seeds) >= 3 and len(set(claim.seeds)) == len(claim.seeds)
  for arm in claim.arms:
    config_lib.check(record.config(claim, arm))


def test_claims_that_share_a_folder_mean_the_same_runs_by_a_name():
  meant = {}
  for claim in CLAIMS:
    base = meant.setdefault(claim.base.name, claim.base)
    assert base == claim.base
    for name, arm in claim.arms.items():
      key = claim.base.name, name
      assert meant.setdefault(key, arm) == arm, key


def test_the_page_is_what_the_kept_outcomes_say():
  assert collected.PAGE.read_text() == collected.text(), (
    "run python -m experiments.claims.table"
  )
  rows = collected.PAGE.read_text()
  for claim in CLAIMS:
    if claim.name not in OUTCOMES:
      assert f"`{claim.name}`" in rows.partition("not run yet: ")[2]


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_kept_outcome_is_of_the_claim_as_it_stands(name):
  claim = next(claim for claim in CLAIMS if claim.name == name)
  found = outcome.read(OUTCOMES[name])
  assert json.loads(json.dumps(record.plain(claim))) == found.run
  assert list(claim.seeds) == found.seeds
  assert all(len(v) == len(found.seeds) for v in found.figures.values())
  assert {part.figure for part in claim.parts} <= found.figures.keys()
  assert (collected.KEPT / f"{name}.png").stat().st_size < 100_000


def test_the_page_tells_verdicts_and_what_is_not_run():
  claim = CLAIMS[0]
  values = {part.figure: [part.bound] * 3 for part in claim.parts}
  part = claim.parts[0]
  values[part.figure] = [0.9, 0.9, 0.91]
  found = outcome.Outcome(record.plain(claim), [0, 1, 2], values)
  told = page.text(CLAIMS[:2], {claim.name: found})
  assert f"{part.says}: 0.903 (0.889 to 0.918), shown" in told
  assert "| **not shown** |" in told
  assert f"Written and not run yet: `{CLAIMS[1].name}`." in told


LOGGED = (
  *("policy/entropy", "reward/mean", "loss/clipped_fraction"),
  *("lp_reg/selected_fraction", "eval/maj@16", "eval/distinct_right"),
  *(f"eval/pass@{k}" for k in (1, 2, 4, 8, 16)),
)


def made_up(claim: Claim) -> list[Run]:
  """Runs of 60 steps whose metrics fall, each arm to another height."""
  return [
    Run(name, {"seed": seed}, _falling(seed, number))
    for seed in claim.seeds
    for number, name in enumerate(claim.arms)
  ]


def _falling(seed: int, number: int) -> dict[str, Series]:
  dice, steps = np.random.default_rng((seed, number)), np.arange(60)
  falls = lambda: 1 / (1 + steps * (number + dice.random()) / 10)
  return {key: (steps, falls()) for key in LOGGED}


# This one takes a step with the model that a run began with.
METRICS = [claim for claim in CLAIMS if claim.name != "entropy_change"]


@pytest.mark.parametrize("claim", METRICS, ids=lambda c: c.name)
def test_a_claim_measures_what_its_parts_speak_of(claim):
  found = outcome.measured(claim, made_up(claim))
  assert len(outcome.judged(claim, found)) == len(claim.parts)


@pytest.mark.long
@pytest.mark.parametrize("claim", METRICS, ids=lambda c: c.name)
def test_a_claim_has_a_small_picture(claim):
  runs = made_up(claim)
  figures = outcome.measured(claim, runs).figures
  with style.context():
    png = style.png(claim.draw(by_label(runs), figures))
  assert len(png) < 100_000


def tiny(folder: pathlib.Path) -> Claim:
  """One arm and two seeds of three steps."""
  edits = {
    "task.data_dir": str(folder / "data"),
    "task.options.largest": 30,
    "model.width": 16,
    "model.layers": 1,
    "model.hidden": 16,
    "warm_start.steps": 400,  # Until a few responses are right.
    "warm_start.batch": 64,
    "steps": 3,
    "rollout.prompts": 16,
    "rollout.per_prompt": 4,
    "train.updates": 2,
    "rollout.mismatch_every": 0,
    "evaluation.every": 3,
    "progress": False,
  }
  claim = next(claim for claim in CLAIMS if claim.name == "entropy_change")
  return dataclasses.replace(
    claim,
    name="tiny",
    base=Base("tiny", "split", edits),
    seeds=(0, 1),
  )


@pytest.mark.long
@pytest.mark.usefixtures("quick_compile")
def test_a_claim_runs_from_training_to_its_row(tmp_path, monkeypatch):
  claim = tiny(tmp_path)
  found = program.run(claim, tmp_path)
  # Where positions share no weights, the exact estimate is the best.
  exact = np.array(found.figures["table_pearson_exact"])
  assert (exact > found.figures["table_pearson_covariance"]).all()
  names = {f"{arm}-seed{s}" for arm in claim.arms for s in claim.seeds}
  assert names <= {path.name for path in (tmp_path / "tiny").iterdir()}
  png = (tmp_path / program.FOLDER / "tiny.png").read_bytes()
  assert png.startswith(b"\x89PNG")
  assert "tiny: " in program.row(claim, found)
  # Nothing is trained again.
  monkeypatch.setattr("rlvr_jax.training.loop.train", None)
  assert program.run(claim, tmp_path) == found
