r"""BAPO's moving bounds keep the entropy and the accuracy under staleness.

Command: python -m experiments.claims.staleness --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

STALE = {"train.updates": 16}


def measure(runs: Mapping[str, Run]) -> Figures:
  """Late entropies and pass@1 under stale rollouts."""
  plain, balanced = runs["grpo stale"], runs["bapo stale"]
  return {
    "entropy_grpo": late(plain),
    "entropy_bapo": late(balanced),
    "pass@1_grpo": last(plain, "eval/pass@1"),
    "pass@1_bapo": last(balanced, "eval/pass@1"),
    "holds": late(balanced) - late(plain),
    "solves": last(balanced, "eval/pass@1") - last(plain, "eval/pass@1"),
  }


CLAIM = Claim(
  name="staleness",
  paper="2510.18927",
  says=(
    "On stale samples, bounds that move until positive tokens weigh enough "
    "keep the entropy up and the accuracy higher than fixed ones."
  ),
  here=(
    "`split`, sixteen updates of a rollout in place of four; target share 0.55 "
    "(published 0.4, which group-centred advantages meet at once)."
  ),
  base=settings.SPLIT,
  arms={
    "grpo stale": Arm(("grpo",), STALE),
    "bapo stale": Arm(("grpo", "bapo"), STALE | {"bapo.target": 0.55}),
  },
  measure=measure,
  parts=(
    Part("holds", "above", 0.05, "late entropy, BAPO less GRPO, nats"),
    Part("solves", "above", 0.0, "pass@1, BAPO less GRPO"),
  ),
  draw=plots.entropy("Sixteen updates of a rollout"),
)

if __name__ == "__main__":
  program.main(CLAIM)
