"""What the runs of a claim gave: kept as JSON, judged by the rule."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from experiments.claiming import record, rule
from experiments.claiming.record import Claim
from rlvr_jax.report.runs import Run


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The figures of every seed and what they were measured on."""

  run: Mapping[str, object]  # as of `record.plain`
  seeds: Sequence[int]
  figures: Mapping[str, Sequence[float]]  # name -> one value per seed


def measured(claim: Claim, runs: Sequence[Run]) -> Outcome:
  """Measures the runs of a claim, seed by seed."""
  of_seed = lambda seed: {
    run.label: run for run in runs if run.config["seed"] == seed
  }
  found = [claim.measure(of_seed(seed)) for seed in claim.seeds]
  figures = {name: [float(one[name]) for one in found] for name in found[0]}
  return Outcome(record.plain(claim), list(claim.seeds), figures)


def judged(
  claim: Claim, outcome: Outcome
) -> list[tuple[record.Part, rule.Interval, rule.Verdict]]:
  """The parts of a claim, each with its interval and its verdict."""
  found = [rule.interval(outcome.figures[p.figure]) for p in claim.parts]
  return [(p, i, rule.verdict(p, i)) for p, i in zip(claim.parts, found)]


def write(path: pathlib.Path, outcome: Outcome) -> None:
  """Writes an outcome; figures are rounded to five digits."""
  values = dataclasses.asdict(outcome)
  values["figures"] = {
    name: [float(f"{x:.5g}") for x in xs]
    for name, xs in values["figures"].items()
  }
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(values, indent=1) + "\n")


def read(path: pathlib.Path) -> Outcome:
  """What `write` wrote."""
  return Outcome(**json.loads(path.read_text()))
