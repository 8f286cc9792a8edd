r"""GRPO with a smooth gate in place of the clip.

Paper:     Soft Adaptive Policy Optimization (SAPO), arXiv 2511.20347.
Command:   python -m experiments.train \
               --config=configs/methods/sapo.py:runlocal \
               --workdir=runs/sapo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: sharpness 1.0 of positive and 1.05 of negative advantages, every
           response counts alike; 8 responses a prompt and learning rate 1e-6
           are what papers on entropy run GRPO with.
Expect:    as GRPO; the gate is wide, so hardly a token loses its gradient. The
           entropy ends between 0.12 and 0.15 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="sapo",
  chain=("grpo", "sapo"),
  published={
    "sapo.sharpness_positive": 1.0,
    "sapo.sharpness_negative": 1.05,
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
