r"""GRPO's advantages times the log-likelihood, without a ratio.

Paper:     Williams, Machine Learning 8, 1992.
Command:   python -m experiments.train \
               --config=configs/methods/reinforce.py:runlocal \
               --workdir=runs/reinforce
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: nothing to repeat here; 8 responses a prompt and learning rate 1e-6
           are what papers on entropy run GRPO with. One update is our choice.
Expect:    with a single update per rollout the policy moves less: the reward
           rises as with GRPO while the entropy stays near 0.6 nats. With four
           updates and no clip the reward falls from 0.73 to below 0.5 before it
           recovers.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="reinforce",
  chain=("grpo", "reinforce"),
  published={
    "train.updates": 1,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={"train.updates": 1},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
