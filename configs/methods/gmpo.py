r"""GRPO with the geometric mean of the ratios of a response.

Paper:     Geometric-Mean Policy Optimization (GMPO), arXiv 2507.20673.
Command:   python -m experiments.train \
               --config=configs/methods/gmpo.py:runlocal \
               --workdir=runs/gmpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: bounds of 0.4 nats either way, every response counts alike; 8
           responses a prompt and learning rate 1e-6 are what papers on entropy
           run GRPO with.
Expect:    as GRPO: the entropy ends between 0.04 and 0.11 nats; about three
           tokens in a hundred are outside the bounds at first.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="gmpo",
  chain=("grpo", "gmpo"),
  published={
    "gmpo.low": 0.4,
    "gmpo.high": 0.4,
    "loss.aggregation": "seq-mean-token-mean",
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "loss.aggregation": "seq-mean-token-mean",
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
