r"""RLOO with the distance to the reference policy inside the reward.

Paper:     Fine-Tuning Language Models from Human Preferences, arXiv 1909.08593.
Command:   python -m experiments.train \
               --config=configs/methods/kl_reward.py:runlocal \
               --workdir=runs/kl_reward
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: verl has a coefficient of 1e-3 where it is switched on; the learning
           rate is the usual one of this size.
Expect:    the entropy stays near 0.7 nats, and 13 or 14 distinct right answers
           are left of 16, as with the same coefficient in the loss; a response
           is 2 nats from the reference at most, and 0.5 at the end.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="kl_reward",
  chain=("kl_reward", "rloo"),
  published={
    "kl_reward.coef": 1e-3,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "kl_reward.coef": 0.04,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
