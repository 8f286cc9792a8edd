r"""DAPO: its filter of groups, overlong punishment, clip-higher.

Paper:     DAPO: An Open-Source LLM Reinforcement Learning System at Scale,
           arXiv 2503.14476.
Command:   python -m experiments.train \
               --config=configs/methods/group_filter.py:runlocal \
               --workdir=runs/group_filter
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-32B, limit 20480 with a buffer of 4096 tokens, bounds 0.2 and
           0.28, dual clip 10 (code), 512 prompts with 16 responses, 16 updates,
           learning rate 1e-6 after 20 steps of warm-up. Rewards there are +1
           and -1, here 1 and 0, so the punishment of 1 is halved.
Expect:    three quarters of the groups or more are dropped by step 50; what is
           left learns fast, and the entropy ends between 0.06 and 0.09 nats, as
           GRPO's does, in spite of clip-higher.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="group_filter",
  chain=("group_filter", "overlong_shaping", "grpo", "ppo_clip"),
  published={
    "overlong_shaping.max_length": 20480,
    "overlong_shaping.buffer": 4096,
    "overlong_shaping.factor": 0.5,
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.28,
    "ppo_clip.dual": 10.0,
    "loss.aggregation": "token-mean",
    "rollout.prompts": 512,
    "rollout.per_prompt": 16,
    "rollout.max_response": 20480,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 20,
  },
  # Responses of at most 7 tokens: no punishment for length.
  small={
    "ppo_clip.high": 0.28,
    "overlong_shaping.buffer": 1,
    "overlong_shaping.factor": 0.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
