r"""PPO's advantages with a linear critic.

Paper:     Generalized Advantage Estimation, arXiv 1506.02438; PPO, arXiv
           1707.06347.
Command:   python -m experiments.train \
               --config=configs/methods/gae.py:runlocal \
               --workdir=runs/gae
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: no numbers of a run with verifiable rewards; 8 responses a prompt and
           learning rate 1e-6 are what papers on entropy run GRPO with.
Expect:    as REINFORCE++, down to a tenth of a nat: the critic explains next to
           nothing of the returns of this task and is a running mean of the
           reward.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="gae",
  chain=("gae",),
  published={
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
