r"""GRPO with an entropy bonus on hard problems that holds the entropy.

Paper:     Rediscovering Entropy Regularization (AER), arXiv 2510.10959.
Command:   python -m experiments.train \
               --config=configs/methods/aer.py:runlocal \
               --workdir=runs/aer
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen3-4B-Base and 8B-Base, target of 0.4 of the first entropy; the
           other numbers were not to be had; the learning rate of 1e-6 is our
           choice.
Expect:    the entropy falls through the target of 0.38 nats to about 0.25, then
           a coefficient above 1 brings it back to 0.4 or 0.5: with nearly all
           problems solved few groups still get a bonus.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="aer",
  chain=("grpo", "aer"),
  published={
    "aer.target_ratio": 0.4,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "aer.rate": 0.5,
    "aer.difficulty": 1.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
