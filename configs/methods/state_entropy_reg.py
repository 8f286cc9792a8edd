r"""Dr.GRPO with a reward for right responses unlike the other ones.

Paper:     State Entropy Regularization, arXiv 2506.07085.
Command:   python -m experiments.train \
               --config=configs/methods/state_entropy_reg.py:runlocal \
               --workdir=runs/state_entropy_reg
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: control problems only; third neighbour in the group, coefficients
           from 0.05 to 0.01 over the run, 64 numbers per state and the learning
           rate of 1e-6 are our choice, and so is Dr.GRPO: where all are right,
           GRPO's division by the deviation would undo the coefficient.
Expect:    the entropy stays near 0.6 nats and 12 or 13 distinct right answers
           are left of 16, where Dr.GRPO has 0.05 nats or less and one or two;
           pass@1 is as good.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="state_entropy_reg",
  chain=("state_entropy_reg", "dr_grpo"),
  published={
    "steps": 200,
    "state_entropy_reg.neighbour": 3,
    "state_entropy_reg.coef_start": 0.05,
    "state_entropy_reg.coef_end": 0.01,
    "state_entropy_reg.size": 64,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "state_entropy_reg.coef_start": 0.3,
    "state_entropy_reg.coef_end": 0.1,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
