r"""PPO's clipped loss with clip-higher and dual clip.

Paper:     PPO, arXiv 1707.06347; clip-higher: DAPO, arXiv 2503.14476.
Command:   python -m experiments.train \
               --config=configs/methods/ppo_clip.py:runlocal \
               --workdir=runs/ppo_clip
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: DAPO: Qwen2.5-32B on DAPO-Math-17k, bounds 0.2 and 0.28, dual clip
           10, 512 prompts with 16 responses, 16 updates, learning rate 1e-6.
Expect:    the upper bound of 1.28 holds nothing: the entropy ended at 0.03 nats
           in one run and at 0.12 in another, where GRPO's symmetric bounds gave
           0.11 and 0.04.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="ppo_clip",
  chain=("grpo", "ppo_clip"),
  published={
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.28,
    "ppo_clip.dual": 10.0,
    "rollout.prompts": 512,
    "rollout.per_prompt": 16,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "ppo_clip.high": 0.28,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
