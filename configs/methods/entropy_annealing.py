r"""GRPO with an entropy bonus that falls with the steps.

Paper:     Entropy annealing for policy mirror descent, arXiv 2405.20250.
Command:   python -m experiments.train \
               --config=configs/methods/entropy_annealing.py:runlocal \
               --workdir=runs/entropy_annealing
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: theory only; a bonus of 1e-3 that halves in 100 steps and the
           learning rate of 1e-6 are our choice.
Expect:    the entropy falls slowly while the bonus fades and ends between 0.5
           and 0.7 nats, where GRPO goes to 0.1 or less.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="entropy_annealing",
  chain=("grpo", "entropy_annealing"),
  published={
    "entropy_annealing.coef": 1e-3,
    "entropy_annealing.period": 100.0,
    "entropy_annealing.power": 1.0,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "entropy_annealing.coef": 0.1,
    "entropy_annealing.period": 20.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
