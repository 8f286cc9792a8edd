r"""RLOO: each response against the mean of the others.

Paper:     Back to Basics (RLOO), arXiv 2402.14740.
Command:   python -m experiments.train \
               --config=configs/methods/rloo.py:runlocal \
               --workdir=runs/rloo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: nothing of its own; 8 responses a prompt and learning rate 1e-6 are
           what papers on entropy run GRPO with.
Expect:    as GRPO without its deviation.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="rloo",
  chain=("rloo",),
  published={
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
