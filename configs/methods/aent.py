r"""GRPO with a bonus on the entropy over the likelier tokens.

Paper:     On Entropy Control in LLM-RL Algorithms (AEnt), arXiv 2509.03493.
Command:   python -m experiments.train \
               --config=configs/methods/aent.py:runlocal \
               --workdir=runs/aent
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: coefficient 2e-4 and a share of 0.3 removed, from the authors'
           README; nothing else is known. The learning rate of 1e-6 is our
           choice.
Expect:    the entropy ends between 0.3 and 0.5 nats where GRPO goes on falling.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="aent",
  chain=("grpo", "aent"),
  published={
    "aent.coef": 2e-4,
    "aent.share": 0.3,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "aent.coef": 0.02,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
