r"""Dr.GRPO: advantages without the deviation, losses without the length.

Paper:     Understanding R1-Zero-Like Training (Dr.GRPO), arXiv 2503.20783.
Command:   python -m experiments.train \
               --config=configs/methods/dr_grpo.py:runlocal \
               --workdir=runs/dr_grpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: sums over tokens divided by a constant; 8 responses a prompt and
           learning rate 1e-6 are what papers on entropy run GRPO with.
Expect:    as GRPO; the entropy falls to a few hundredths of a nat.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="dr_grpo",
  chain=("dr_grpo",),
  published={
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
    "loss.aggregation": "seq-mean-token-sum-norm",
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
