r"""ReMax: the reward of the greedy response as the baseline.

Paper:     ReMax, arXiv 2310.10505.
Command:   python -m experiments.train \
               --config=configs/methods/remax.py:runlocal \
               --workdir=runs/remax
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: one greedy response a prompt as the baseline; 8 responses a prompt
           and learning rate 1e-6 are what papers on entropy run GRPO with.
Expect:    the greedy response is nearly always right at first, so right
           responses teach nothing and wrong ones are pushed down; the entropy
           ends between 0.05 and 0.17 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="remax",
  chain=("remax",),
  published={
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
