r"""GPG: group-relative rewards times the log-likelihood.

Paper:     Group Policy Gradient (GPG), arXiv 2504.02546.
Command:   python -m experiments.train \
               --config=configs/methods/gpg.py:runlocal \
               --workdir=runs/gpg
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: advantages divided by 1; 8 responses a prompt and learning rate 1e-6
           are what papers on entropy run GRPO with. One update is our choice.
Expect:    with a single update per rollout the policy moves less: the reward
           rises as with GRPO while the entropy stays above 0.6 nats, and twelve
           distinct right answers are left of 16. With four updates and no clip
           the reward falls to 0.2 before it recovers.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="gpg",
  chain=("gpg",),
  published={
    "gpg.divisor": 1.0,
    "train.updates": 1,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={"train.updates": 1},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
