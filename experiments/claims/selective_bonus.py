r"""A naive entropy bonus explodes where SIREN holds the entropy it began with.

Command: python -m experiments.claims.selective_bonus --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import ENTROPY, first, last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run


def measure(runs: Mapping[str, Run]) -> Figures:
  """How far the entropy ends from where it began, and what is solved."""
  moved = {name: late(r) - first(r, ENTROPY) for name, r in runs.items()}
  solved = {name: last(r, "eval/pass@1") for name, r in runs.items()}
  return {
    **{f"moved_{name}": value for name, value in moved.items()},
    **{f"pass@1_{name}": value for name, value in solved.items()},
    "siren_holds": moved["siren"] - moved["dr_grpo"],
    "siren_solves": solved["siren"] - solved["bonus 0.3"],
  }


CLAIM = Claim(
  name="selective_bonus",
  paper="2509.25133",
  says=(
    "A bonus on the entropy of all tokens does nothing or makes it explode; "
    "pulling the entropy of the uncertain tokens to its first value holds it."
  ),
  here=(
    "`split`, Dr.GRPO: alone, with a bonus of 0.003 and of 0.3, and with SIREN "
    "(coefficient 1, published 0.005, which does nothing on this task)."
  ),
  base=settings.SPLIT,
  arms={
    "dr_grpo": Arm(("dr_grpo",)),
    "bonus 0.003": Arm(
      ("dr_grpo", "entropy_bonus"), {"entropy_bonus.coef": 0.003}
    ),
    "bonus 0.3": Arm(("dr_grpo", "entropy_bonus"), {"entropy_bonus.coef": 0.3}),
    "siren": Arm(("dr_grpo", "siren"), {"siren.coef": 1.0}),
  },
  measure=measure,
  parts=(
    Part("moved_bonus 0.003", "below", -0.4, "entropy moved, small bonus"),
    Part("moved_bonus 0.3", "above", 0.3, "entropy moved, large bonus, nats"),
    Part("siren_holds", "above", 0.2, "late entropy, SIREN less Dr.GRPO, nats"),
    Part("siren_solves", "above", 0.05, "pass@1, SIREN less the large bonus"),
  ),
  draw=plots.entropy("Bonus on all tokens, or on the uncertain"),
)

if __name__ == "__main__":
  program.main(CLAIM)
