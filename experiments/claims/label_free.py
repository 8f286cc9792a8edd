r"""Majority votes and clusters of equal answers teach without labels.

Command: python -m experiments.claims.label_free --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import first, last
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

# Votes err: at the rate of runs with labels the policy follows them down.
NO_LABELS = {"task.labelled": False, "optimizer.learning_rate": 1e-4}


def measure(runs: Mapping[str, Run]) -> Figures:
  """What is solved at the start and at the end, and the vote at the start."""
  found = {}
  for name, run in runs.items():
    begin, end = first(run, "eval/pass@1"), last(run, "eval/pass@1")
    found[f"{name}_start"], found[f"{name}_end"] = begin, end
    found[f"{name}_gain"] = end - begin
    vote = first(run, "eval/maj@16")
    found[f"{name}_over_vote"] = end - vote
  return found


CLAIM = Claim(
  name="label_free",
  paper="2504.16084",
  says=(
    "Majority votes (TTRL), and clusters of equal answers (EMPO, 2504.05812), "
    "raise the accuracy without one label."
  ),
  here="`sum`, labels hidden, learning rate 1e-4; unseen sums.",
  base=settings.SUM,
  arms={
    "ttrl": Arm(("ttrl", "grpo"), NO_LABELS),
    "empo": Arm(("empo", "grpo"), NO_LABELS),
  },
  measure=measure,
  parts=(
    Part("ttrl_gain", "above", 0.05, "pass@1, end less start, TTRL"),
    Part("empo_gain", "above", 0.05, "pass@1, end less start, EMPO"),
  ),
  draw=plots.curves(
    "eval/pass@1",
    "No reference answer is read",
    "problems solved at the first try, share",
    noisy=False,
  ),
)

if __name__ == "__main__":
  program.main(CLAIM)
