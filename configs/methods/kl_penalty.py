r"""GRPO with a penalty on the distance to the reference policy.

Paper:     DeepSeekMath, arXiv 2402.03300.
Command:   python -m experiments.train \
               --config=configs/methods/kl_penalty.py:runlocal \
               --workdir=runs/kl_penalty
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: k3 with coefficient 0.01 in the code of AEPO, where it is switched
           on, with 512 prompts of 5 responses, 4 updates and learning rate
           1e-6. The papers on entropy leave it off.
Expect:    the entropy stays near 0.7 nats, and 13 or 14 distinct right answers
           are left of 16; the stronger the penalty, the less it falls.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="kl_penalty",
  chain=("grpo", "kl_penalty"),
  published={
    "kl_penalty.coef": 0.01,
    "rollout.prompts": 512,
    "rollout.per_prompt": 5,
    "train.updates": 4,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "kl_penalty.coef": 0.04,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
