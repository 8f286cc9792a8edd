r"""With bounds of 0.01 and 6 on the ratio GRPO breaks, and STEER does not.

Command: python -m experiments.claims.extreme_clipping --workdir=runs/claims
"""

from collections.abc import Mapping

import numpy as np

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import ENTROPY, last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

EXTREME = {"loss.clip_low": 0.99, "loss.clip_high": 5.0}


def unsteady(run: Run) -> float:
  """How much the entropy jumps from step to step, nats (median)."""
  return float(np.median(np.abs(np.diff(run.metrics[ENTROPY][1], n=2))))


def measure(runs: Mapping[str, Run]) -> Figures:
  """How far each method under extreme bounds is from its usual run."""
  entropy = {name: late(run) for name, run in runs.items()}
  solved = {name: last(run, "eval/pass@1") for name, run in runs.items()}
  harm = lambda arm: solved[arm] - solved[f"{arm} extreme"]
  return {
    **{f"entropy_{name}": value for name, value in entropy.items()},
    **{f"pass@1_{name}": value for name, value in solved.items()},
    "harm_grpo": harm("grpo"),
    "harm_steer": harm("steer"),
    "steer_holds": entropy["steer extreme"] - entropy["grpo extreme"],
    "unsteady_grpo": unsteady(runs["grpo extreme"]),
    "unsteady_steer": unsteady(runs["steer extreme"]),
  }


CLAIM = Claim(
  name="extreme_clipping",
  paper="2510.10150",
  says=(
    "With next to no clipping GRPO's entropy collapses and its accuracy "
    "suffers, while STEER's run is close to the usual one."
  ),
  here=(
    "`split`; bounds of 0.2 and 0.2, and the extreme 0.99 and 5 of the paper; "
    "STEER with its published least weight of 0.7."
  ),
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "steer": Arm(("grpo", "steer")),
    "grpo extreme": Arm(("grpo",), EXTREME),
    "steer extreme": Arm(("grpo", "steer"), EXTREME),
  },
  measure=measure,
  parts=(
    Part("harm_grpo", "above", 0.02, "pass@1 that GRPO loses under them"),
    Part("harm_steer", "below", 0.05, "pass@1 that STEER loses under them"),
    Part(
      "steer_holds",
      "above",
      0.05,
      "late entropy under them, STEER less GRPO, nats",
    ),
  ),
  draw=plots.entropy("With next to no clipping"),
)

if __name__ == "__main__":
  program.main(CLAIM)
