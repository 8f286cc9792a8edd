"""One command for each claim: train what is missing, measure, draw, judge."""

import os
import pathlib

import tabulate
from absl import flags

from experiments.claiming import outcome, page, record, rule
from experiments.claiming.record import Claim
from rlvr_jax.report import style
from rlvr_jax.report.runs import by_label
from rlvr_jax.training import command, compare

FOLDER = "outcomes"  # under the working directory


def run(claim: Claim, workdir: str | os.PathLike) -> outcome.Outcome:
  """Trains the runs that are missing and writes outcome and picture.

  Stopped at any time, the next call goes on where it was.

  Args:
    claim: to be tried.
    workdir: one for all claims: runs that two of them name alike are shared.

  Returns:
    The outcome, as it is written.
  """
  workdir = pathlib.Path(workdir)
  folder, kept = workdir / claim.base.name, workdir / FOLDER
  make = lambda arm: record.config(claim, arm)
  runs = compare.arrange(make, list(claim.arms), claim.seeds, folder)
  found = compare.trained(runs, folder)
  outcome.write(kept / f"{claim.name}.json", outcome.measured(claim, found))
  written = outcome.read(kept / f"{claim.name}.json")
  with style.context():
    png = style.png(claim.draw(by_label(found), written.figures))
  (kept / f"{claim.name}.png").write_bytes(png)
  return written


def row(claim: Claim, found: outcome.Outcome) -> str:
  """What came out, for the terminal."""
  judged = outcome.judged(claim, found)
  lines = [
    [part.says, f"{part.side} {part.bound:g}", page.told(i), verdict]
    for part, i, verdict in judged
  ]
  verdict = rule.together([verdict for *_, verdict in judged])
  heads = ("figure", "claimed", "mean (95 % interval)", "verdict")
  table = tabulate.tabulate(lines, heads)
  return f"{claim.says}\n{table}\n{claim.name}: {verdict}"


def main(claim: Claim) -> None:
  """Runs the command of a claim."""
  workdir = flags.DEFINE_string("workdir", None, "folder of all claims")
  flags.mark_flag_as_required("workdir")
  command.run(lambda: print(row(claim, run(claim, workdir.value))), trains=True)
