r"""CURE's branches at critical tokens keep the samples diverse.

Command: python -m experiments.claims.critical_tokens --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

DISTINCT = "eval/distinct_right"


def measure(runs: Mapping[str, Run]) -> Figures:
  """Late entropies and distinct right answers, with and without branches."""
  plain, branched = runs["grpo"], runs["cure"]
  return {
    "entropy_grpo": late(plain),
    "entropy_cure": late(branched),
    "holds": late(branched) - late(plain),
    "distinct": last(branched, DISTINCT) - last(plain, DISTINCT),
    "solves": last(branched, "eval/pass@1") - last(plain, "eval/pass@1"),
  }


CLAIM = Claim(
  name="critical_tokens",
  paper="2508.11016",
  says=(
    "Sampling again from critical tokens on raises the entropy and keeps "
    "responses diverse, at no cost of accuracy."
  ),
  here=(
    "`split`, groups of eight: eight responses, or two and three continuations "
    "of each from one of its three most uncertain tokens on (first stage)."
  ),
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "cure": Arm(
      ("cure", "grpo"),
      {
        "rollout.per_prompt": 2,
        "cure.branches": 3,
        "cure.candidates": 3,
        "cure.min_text_len": 1,
      },
    ),
  },
  measure=measure,
  parts=(
    Part("holds", "above", 0.05, "late entropy, CURE less GRPO, nats"),
    Part("distinct", "above", 0.5, "distinct right answers of 16, more"),
    Part("solves", "above", -0.05, "pass@1, CURE less GRPO"),
  ),
  draw=plots.entropy("Branches at uncertain tokens"),
)

if __name__ == "__main__":
  program.main(CLAIM)
