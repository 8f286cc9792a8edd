r"""The fifth of the tokens with the highest entropy is enough to learn from.

Command: python -m experiments.claims.forking --workdir=runs/claims
"""

from collections.abc import Mapping

from experiments.claiming import plots, program, settings
from experiments.claiming.figures import last, late
from experiments.claiming.record import Arm, Claim, Figures, Part
from rlvr_jax.report.runs import Run

CHAIN = ("grpo", "forking_tokens")


def measure(runs: Mapping[str, Run]) -> Figures:
  """Problems solved and late entropies of all, few and the other tokens."""
  solved = {name: last(run, "eval/pass@1") for name, run in runs.items()}
  entropy = {name: late(run) for name, run in runs.items()}
  return {
    **{f"pass@1_{name}": value for name, value in solved.items()},
    **{f"entropy_{name}": value for name, value in entropy.items()},
    "top_solves": solved["top fifth"] - solved["grpo"],
    "top_over_bottom": solved["top fifth"] - solved["bottom rest"],
    "top_holds": entropy["top fifth"] - entropy["grpo"],
  }


CLAIM = Claim(
  name="forking",
  paper="2506.01939",
  says=(
    "Training on the 20 % of the tokens with the highest entropy is as good as "
    "on all, with a higher entropy; on the other 80 % it is much worse."
  ),
  here="`split`; a response has up to seven tokens, two or three of them free.",
  base=settings.SPLIT,
  arms={
    "grpo": settings.GRPO,
    "top fifth": Arm(CHAIN, {"forking_tokens.fraction": 0.2}),
    "bottom rest": Arm(
      CHAIN, {"forking_tokens.fraction": 0.8, "forking_tokens.bottom": True}
    ),
  },
  measure=measure,
  parts=(
    Part("top_solves", "above", -0.05, "pass@1, top 20 % less all"),
    Part("top_over_bottom", "above", 0.05, "pass@1, top 20 % less bottom 80 %"),
    Part("top_holds", "above", 0.0, "late entropy, top 20 % less all, nats"),
  ),
  draw=plots.curves(
    "eval/pass@1",
    "Learning from some of the tokens",
    "problems solved at the first try, share",
    noisy=False,
  ),
)

if __name__ == "__main__":
  program.main(CLAIM)
