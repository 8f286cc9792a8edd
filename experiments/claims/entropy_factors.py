r"""Off-policy updates, poor data and a low lower bound cost entropy.

Command: python -m experiments.claims.entropy_factors --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run


def measure(runs: Mapping[str, Run]) -> Figures:
  """Late entropies and how far each factor moves them."""
  entropy = {name: late(run) for name, run in runs.items()}
  usual = entropy["grpo"]
  return {
    **{f"entropy_{name}": value for name, value in entropy.items()},
    "fewer_updates": entropy["1 update"] - usual,
    "less_data": usual - entropy["16 problems"],
    "lower": usual - entropy["lower 0.28"],
    "tighter": entropy["lower 0.12"] - usual,
  }


CLAIM = Claim(
  name="entropy_factors",
  paper="2511.05993",
  says=(
    "The entropy falls further with more updates of a rollout, with less "
    "diverse data, and with a lower lower clip bound; a tighter one helps."
  ),
  here=(
    "`split`, GRPO with four updates, all problems and bounds of 0.2; one "
    "thing changed at a time. With one update there are fewer steps of the "
    "optimizer too, as in the paper."
  ),
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "1 update": Arm(("grpo",), {"train.updates": 1}),
    "16 problems": Arm(("grpo",), {"task.subset": tuple(range(16))}),
    "lower 0.28": Arm(("grpo",), {"loss.clip_low": 0.28}),
    "lower 0.12": Arm(("grpo",), {"loss.clip_low": 0.12}),
  },
  measure=measure,
  parts=(
    Part("fewer_updates", "above", 0.05, "late entropy, 1 update less 4, nats"),
    Part(
      "less_data", "above", 0.05, "late entropy, all less 16 problems, nats"
    ),
    Part("lower", "above", 0.02, "late entropy, bound 0.2 less 0.28, nats"),
    Part("tighter", "above", 0.02, "late entropy, bound 0.12 less 0.2, nats"),
  ),
  draw=plots.entropy("One factor at a time"),
)

if __name__ == "__main__":
  program.main(CLAIM)
