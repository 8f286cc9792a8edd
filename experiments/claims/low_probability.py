r"""Lp-Reg keeps the tokens of low probability, and with them the entropy.

Command: python -m experiments.claims.low_probability --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

DISTINCT = "eval/distinct_right"


def measure(runs: Mapping[str, Run]) -> Figures:
  """Late entropies and distinct right answers, with and without."""
  plain, held = runs["grpo"], runs["lp_reg"]
  return {
    "entropy_grpo": late(plain),
    "entropy_lp_reg": late(held),
    "selected_share": late(held, "lp_reg/selected_fraction"),
    "holds": late(held) - late(plain),
    "distinct": last(held, DISTINCT) - last(plain, DISTINCT),
    "solves": last(held, "eval/pass@1") - last(plain, "eval/pass@1"),
  }


CLAIM = Claim(
  name="low_probability",
  paper="2510.03222",
  says=(
    "Pulling rare but sensible punished tokens up to a filtered policy keeps "
    "them, and so the entropy, at no cost of accuracy."
  ),
  here=(
    "`split`, GRPO with and without Lp-Reg, which looks at a fifth of the "
    "punished tokens and filters at 0.1 of the largest probability: of the "
    "published hundredth no two tokens would be left."
  ),
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "lp_reg": Arm(
      ("grpo", "lp_reg"), {"lp_reg.negative_share": 0.2, "lp_reg.min_p": 0.1}
    ),
  },
  measure=measure,
  parts=(
    Part("holds", "above", 0.05, "late entropy, Lp-Reg less GRPO, nats"),
    Part("distinct", "above", 0.5, "distinct right answers of 16, more"),
    Part("solves", "above", -0.05, "pass@1, Lp-Reg less GRPO"),
  ),
  draw=plots.entropy("Rare tokens pulled up"),
)

if __name__ == "__main__":
  program.main(CLAIM)
