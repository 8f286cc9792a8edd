r"""GRPO where right answers may be long and wrong ones had better not.

Paper:     Light-IF (first stage of RL), arXiv 2508.03178.
Command:   python -m experiments.train \
               --config=configs/methods/length_reward.py:runlocal \
               --workdir=runs/length_reward
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen3-1.7B, limit 8192, 128 prompts with 8 responses, 4 updates, clip
           bounds of 1 with a dual clip of 10, KL coefficient 1e-3 (k3),
           learning rate 5e-6.
Expect:    the reward is above the share of right answers, and responses do not
           get shorter; the entropy falls as with GRPO, pass@1 ends at 0.83.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="length_reward",
  chain=("length_reward", "grpo", "ppo_clip", "kl_penalty"),
  published={
    "length_reward.max_length": 8192,
    "ppo_clip.low": 1.0,
    "ppo_clip.high": 1.0,
    "ppo_clip.dual": 10.0,
    "kl_penalty.coef": 1e-3,
    "kl_penalty.estimator": "k3",
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "rollout.max_response": 8192,
    "train.updates": 4,
    "optimizer.learning_rate": 5e-06,
  },
  small={
    # Right answers may be as long as there is room: only longer ones are not.
    "length_reward.max_length": 16,
    "length_reward.coef": 0.2,
    "kl_penalty.coef": 1e-3,
    "kl_penalty.estimator": "k3",
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
