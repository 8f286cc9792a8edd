r"""Learning from wrong answers alone keeps pass@k; from right ones it falls.

Command: python -m experiments.claims.negative_samples --workdir=runs/claims
"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import first, last, late
from experiments.claiming.record import AllFigures, Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Groups, Run

NAME = "positive_negative_reinforcement"
KS = (1, 2, 4, 8, 16)


def measure(runs: Mapping[str, Run]) -> Figures:
  """pass@16 and late entropies, and what tells the arms apart."""
  many = {name: last(run, "eval/pass@16") for name, run in runs.items()}
  entropy = {name: late(run) for name, run in runs.items()}
  kept = first(runs["wrong only"], "eval/pass@16")
  return {
    **{f"pass@16_{name}": value for name, value in many.items()},
    **{f"entropy_{name}": value for name, value in entropy.items()},
    "negative_keeps": many["wrong only"] - kept,
    "negative_over_positive": many["wrong only"] - many["right only"],
    "entropy_over_positive": entropy["wrong only"] - entropy["right only"],
  }


def draw(groups: Groups, figures: AllFigures) -> Figure:
  """pass@k against k at the end, a line per arm."""
  del figures
  return plots.pass_at(groups, KS, "Problems solved with k tries")


def _mode(mode: str) -> Arm:
  return Arm((NAME,), {f"{NAME}.mode": mode})


CLAIM = Claim(
  name="negative_samples",
  paper="2506.01347",
  says=(
    "Learning from wrong answers alone keeps pass@k and the entropy; learning "
    "from right answers alone sharpens and loses both."
  ),
  here="`split`; weights as published, W-REINFORCE with 0.1.",
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "right only": _mode("positive"),
    "wrong only": _mode("negative"),
    "weighted 0.1": _mode("weighted"),
  },
  measure=measure,
  parts=(
    Part("negative_keeps", "above", -0.02, "pass@16, end less start"),
    Part("negative_over_positive", "above", 0.0, "pass@16, wrong less right"),
    Part(
      "entropy_over_positive",
      "above",
      0.1,
      "late entropy, wrong less right, nats",
    ),
  ),
  draw=draw,
)

if __name__ == "__main__":
  program.main(CLAIM)
