r"""GRPO with a bonus on the entropy, fixed or adaptive.

Paper:     Skywork Open Reasoner 1, arXiv 2505.22312.
Command:   python -m experiments.train \
               --config=configs/methods/entropy_bonus.py:runlocal \
               --workdir=runs/entropy_bonus
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Skywork-OR1: target 0.2 nats, steps of 1e-4 up to 5e-3, 256 prompts
           with 16 responses, learning rate 1e-6.
Expect:    the bonus slows the fall of the entropy; how much hangs on the
           coefficient alone.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="entropy_bonus",
  chain=("grpo", "entropy_bonus"),
  published={
    "entropy_bonus.adaptive": "skywork",
    "rollout.prompts": 256,
    "rollout.per_prompt": 16,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "entropy_bonus.coef": 0.01,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
