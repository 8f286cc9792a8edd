r"""SPEAR: responses that still beat the usual reward are trained on again.

Paper:     Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
           Exploration for Agentic RL (SPEAR), arXiv 2509.22601.
Command:   python -m experiments.train \
               --config=configs/methods/spear.py:runlocal \
               --workdir=runs/spear
Hardware:  2 CPU cores
Time:      4 minutes, 2 of them for the warm start
Published: Qwen2.5-32B on mathematics with a code tool, 16 responses a prompt,
           2048 rows replayed with the weight rising over 200 steps, 10240
           groups of rewards, covariance windows of 1 to 40 with 2 % of the
           tokens, clip bounds 0.2 and 0.28, learning rate 1e-6. The number of
           prompts is ours: replayed rows are as many as those of a step.
Expect:    spear/replayed_rows is 128 or 256 in most of the first 50 steps;
           from then on more than half of the groups are right throughout, so
           that spear/baseline is 1 and nothing beats it. The entropy falls to
           0.1 nats, pass@1 ends at 0.93, and a problem keeps two distinct right
           answers of 16 samples, where Dr.GRPO keeps one. Advantages are below
           1 here, so the covariance window of 1 drops nothing.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="spear",
  chain=("tool_reward", "dr_bot", "dr_grpo", "ppo_clip", "clip_cov", "spear"),
  published={
    "spear.full": 1.5,
    "spear.history": 10_240,
    "spear.max_age": 5,
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.28,
    "clip_cov.fraction": 0.02,
    "clip_cov.low": 1.0,
    "clip_cov.high": 40.0,
    "loss.aggregation": "seq-mean-token-sum-norm",
    "rollout.prompts": 128,
    "rollout.per_prompt": 16,
    "train.updates": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "spear.full": 0.25,
    # Responses have at most 7 tokens, and none is cut off.
    "dr_bot.max_length": 16,
    "ppo_clip.high": 0.28,
    "train.updates": 8,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
