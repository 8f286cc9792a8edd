r"""GRPO: advantages relative to the other responses of the same prompt.

Paper:     DeepSeekMath, arXiv 2402.03300.
Command:   python -m experiments.train \
               --config=configs/methods/grpo.py:runlocal \
               --workdir=runs/grpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: as papers on entropy run it: bounds 0.2 and 0.28, 8 or 16 responses a
           prompt, learning rate 1e-6, no penalty on the divergence.
Expect:    the reward rises and the entropy falls to a tenth of a nat or less;
           one to three distinct right answers are left of 16.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="grpo",
  chain=("grpo",),
  published={
    "loss.clip_high": 0.28,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
