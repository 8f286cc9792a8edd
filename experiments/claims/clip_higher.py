r"""An upper bound of 1.28 on the ratio keeps the entropy up.

Command: python -m experiments.claims.clip_higher --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run


def measure(runs: Mapping[str, Run]) -> Figures:
  """Late entropies and clipped shares of both bounds."""
  low, high = runs["grpo"], runs["upper 0.28"]
  return {
    "entropy_grpo": late(low),
    "entropy_higher": late(high),
    "raised": late(high) - late(low),
    "solves": last(high, "eval/pass@1") - last(low, "eval/pass@1"),
    "clipped_grpo": late(low, "loss/clipped_fraction"),
    "clipped_higher": late(high, "loss/clipped_fraction"),
  }


CLAIM = Claim(
  name="clip_higher",
  paper="2503.14476",
  says="Raising the upper clip bound from 0.2 to 0.28 keeps the entropy up.",
  here="`split`, GRPO with either bound, four updates of a rollout.",
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "upper 0.28": Arm(("grpo",), {"loss.clip_high": 0.28}),
  },
  measure=measure,
  parts=(
    Part("raised", "above", 0.05, "late entropy, 0.28 less 0.2, nats"),
    Part("solves", "above", -0.05, "pass@1, 0.28 less 0.2"),
  ),
  draw=plots.entropy("Upper bound of 0.2 and of 0.28"),
)

if __name__ == "__main__":
  program.main(CLAIM)
