r"""GRPO with a bonus for complexity in place of entropy.

Paper:     Complexity-Driven Policy Optimization, arXiv 2509.20509.
Command:   python -m experiments.train \
               --config=configs/methods/cdpo.py:runlocal \
               --workdir=runs/cdpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: games only; for tokens the coefficient 1e-3 and the learning rate
           1e-6 are our choice.
Expect:    the entropy settles near 0.25 nats, where GRPO goes to 0.1 or less;
           complexity is at most 0.3 nats, reached with two or three equal
           tokens, so the coefficient is larger than that of an entropy bonus.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="cdpo",
  chain=("grpo", "cdpo"),
  published={
    "cdpo.coef": 0.001,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "cdpo.coef": 0.1,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
