r"""REINFORCE++: returns whitened over the whole batch.

Paper:     REINFORCE++, arXiv 2501.03262.
Command:   python -m experiments.train \
               --config=configs/methods/reinforce_plus_plus.py:runlocal \
               --workdir=runs/reinforce_plus_plus
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: discount 1; 8 responses a prompt and learning rate 1e-6 are what
           papers on entropy run GRPO with.
Expect:    as GRPO; without a baseline per prompt the advantages are noisier.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="reinforce_plus_plus",
  chain=("reinforce_plus_plus",),
  published={
    "reinforce_plus_plus.gamma": 1.0,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
