r"""GRPO's entropy falls without a turn, and its reward saturates with it.

Command: python -m experiments.claims.entropy_collapse --workdir=runs/claims
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from experiments.claiming import program, settings
from experiments.claiming.figures import ENTROPY, windows
from experiments.claiming.record import AllFigures, Claim, Figures, Part
from rlvr_jax.report import lines, style
from rlvr_jax.report.runs import Groups, Run

STRETCHES = 9  # of a third of which each is a whole number


def measure(runs: Mapping[str, Run]) -> Figures:
  """How the entropy falls and how much comes in the first third."""
  entropy = windows(runs["grpo"], ENTROPY, STRETCHES)
  reward = windows(runs["grpo"], "reward/mean", STRETCHES)
  early = lambda x: (x[STRETCHES // 3] - x[0]) / (x[-1] - x[0])
  return {
    "lost": 1 - entropy[-1] / entropy[0],
    "largest_rise": np.diff(entropy).max(),
    "entropy_early": early(entropy),
    "reward_early": early(reward),
  }


def draw(groups: Groups, figures: AllFigures) -> Figure:
  """The entropy and the reward of all seeds against the step."""
  del figures
  names = {"entropy, nats per token": ENTROPY, "training reward": "reward/mean"}
  colours = style.colours(names)
  figure, axes = style.new_axes("GRPO spends its entropy", "nats; share right")
  for name, key in names.items():
    lines.add(axes, groups["grpo"], key, colours[name])
  axes.set_xlabel("step", loc="right")
  style.legend(figure, colours)
  return figure


CLAIM = Claim(
  name="entropy_collapse",
  paper="2505.22617",
  says=(
    "Without intervention the entropy falls monotonically, most of it early, "
    "and the reward saturates as it is spent."
  ),
  here="GRPO on `split`; stretches of a ninth of the run.",
  base=settings.SPLIT,
  arms={"grpo": settings.GRPO},
  measure=measure,
  parts=(
    Part("lost", "above", 0.5, "share of the entropy that the run loses"),
    Part(
      "largest_rise",
      "below",
      0.05,
      "largest rise of the entropy from one stretch to the next, nats",
    ),
    Part("entropy_early", "above", 0.5, "share of the fall in the first third"),
    Part(
      "reward_early",
      "above",
      0.5,
      "share of the reward's gain in the first third",
    ),
  ),
  draw=draw,
)

if __name__ == "__main__":
  program.main(CLAIM)
