r"""Dr.BoT: broken responses and groups alike teach nothing.

Paper:     Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
           Exploration for Agentic RL (SPEAR), arXiv 2509.22601.
Command:   python -m experiments.train \
               --config=configs/methods/dr_bot.py:runlocal \
               --workdir=runs/dr_bot
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: three quarters of the groups for agents (all for mathematics), 20
           tokens ten times, clip bounds 0.2 and 0.28, sums over tokens divided
           by a constant, 8 responses for each of 16 to 32 tasks, learning rate
           1e-6.
Expect:    6 % of the responses have no answer at the beginning and 0.2 % at
           the end, none is too long or repeats itself, and a quarter of the
           groups is left out; the entropy falls to 0.02 nats, pass@1 ends at
           0.95.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="dr_bot",
  chain=("dr_bot", "dr_grpo", "ppo_clip"),
  published={
    "dr_bot.share": 0.75,
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.28,
    "loss.aggregation": "seq-mean-token-sum-norm",
    "rollout.prompts": 32,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "dr_bot.share": 0.75,
    # Responses have at most 7 tokens, and none is cut off.
    "dr_bot.max_length": 16,
    "ppo_clip.high": 0.28,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
