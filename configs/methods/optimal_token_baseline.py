r"""A baseline for every position, weighted by the energy of the path.

Paper:     none; documented with the code in volcengine/verl.
Command:   python -m experiments.train \
               --config=configs/methods/optimal_token_baseline.py:runlocal \
               --workdir=runs/optimal_token_baseline
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: no numbers; 8 responses a prompt and learning rate 1e-6 are what
           papers on entropy run GRPO with.
Expect:    as GRPO; the entropy ends between 0.03 and 0.07 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="optimal_token_baseline",
  chain=("optimal_token_baseline",),
  published={
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
