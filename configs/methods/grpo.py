r"""GRPO: advantages relative to the other responses of the same prompt.

Paper:     DeepSeekMath, arXiv 2402.03300.
Command:   python -m experiments.train \
               --config=configs/methods/grpo.py:runlocal \
               --workdir=runs/grpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: DeepSeekMath 7B on GSM8K and MATH, 64 responses a prompt, 1024 rows a
           step, learning rate 1e-6, one update a rollout.
Expect:    the reward rises and the entropy falls to a few hundredths of a nat;
           one or two distinct right answers are left of 16.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="grpo",
  chain=("grpo",),
  published={
    "rollout.prompts": 16,
    "rollout.per_prompt": 64,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
