r"""GRPO with a penalty on the distance to the reference policy.

Paper:     DeepSeekMath, arXiv 2402.03300.
Command:   python -m experiments.train \
               --config=configs/methods/kl_penalty.py:runlocal \
               --workdir=runs/kl_penalty
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: coefficient 0.04, otherwise as GRPO.
Expect:    the entropy falls less deep, the stronger the penalty.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="kl_penalty",
  chain=("grpo", "kl_penalty"),
  published={
    "kl_penalty.coef": 0.04,
    "rollout.prompts": 16,
    "rollout.per_prompt": 64,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "kl_penalty.coef": 0.04,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
