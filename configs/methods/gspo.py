r"""GRPO with one ratio per response.

Paper:     Group Sequence Policy Optimization (GSPO), arXiv 2507.18071.
Command:   python -m experiments.train \
               --config=configs/methods/gspo.py:runlocal \
               --workdir=runs/gspo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: bounds 3e-4 and 4e-4, every response counts alike; 8 responses a
           prompt and learning rate 1e-6 are what papers on entropy run GRPO
           with.
Expect:    as GRPO, down to between 0.03 and 0.09 nats: with bounds wide enough
           for responses of seven tokens, one token in twenty is clipped at
           first.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="gspo",
  chain=("grpo", "gspo"),
  published={
    "gspo.low": 0.0003,
    "gspo.high": 0.0004,
    "loss.aggregation": "seq-mean-token-mean",
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "gspo.low": 0.1,
    "gspo.high": 0.1,
    "loss.aggregation": "seq-mean-token-mean",
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
