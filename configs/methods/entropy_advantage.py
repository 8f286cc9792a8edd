r"""GRPO with advantages that grow with the entropy of the token.

Paper:     Reasoning with Exploration: An Entropy Perspective, arXiv 2506.14758.
Command:   python -m experiments.train \
               --config=configs/methods/entropy_advantage.py:runlocal \
               --workdir=runs/entropy_advantage
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: strength 0.4 (0.1 with PPO) and kappa 2 on GRPO with the bounds 0.2
           and 0.28 and the token mean. The learning rate of 1e-6 is our choice.
Expect:    no hold on the entropy: it ended at 0.02 nats in one run and at 0.14
           in another, below and above that of GRPO, while the bonus decays with
           it.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="entropy_advantage",
  chain=("grpo", "entropy_advantage"),
  published={
    "entropy_advantage.coef": 0.4,
    "entropy_advantage.kappa": 2.0,
    "loss.clip_high": 0.28,
    "loss.aggregation": "token-mean",
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
