r"""Larger advantages for confident steps, smaller ones for uncertain steps.

Paper:     Harnessing Uncertainty: Entropy-Modulated Policy Gradients for Long-
           Horizon LLM Agents, arXiv 2509.09265.
Command:   python -m experiments.train \
               --config=configs/methods/empg.py:runlocal \
               --workdir=runs/empg
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: both exponents 1, bonus 0.05, on GRPO or DAPO for agents of many
           turns; the other numbers of its runs are not known here, the
           learning rate of 1e-6 is our choice.
Expect:    a response of one turn is one step, so there is no bonus: responses
           of low entropy weigh up to e times those of high entropy, and the
           entropy ends between 0.06 and 0.12 nats, as GRPO's does (0.04 and
           0.11).
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="empg",
  chain=("grpo", "empg"),
  published={
    "empg.sharpness": 1.0,
    "empg.clarity": 1.0,
    "empg.bonus": 0.05,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
