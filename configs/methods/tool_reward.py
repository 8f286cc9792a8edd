r"""A reward for calls of tools that fades as the run goes on.

Paper:     Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
           Exploration for Agentic RL (SPEAR), arXiv 2509.22601.
Command:   python -m experiments.train \
               --config=configs/methods/tool_reward.py:runlocal \
               --workdir=runs/tool_reward
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: a tenth of a reward for each call, at most one, over 200 steps on
           mathematics with a code tool, 16 responses a prompt, learning rate
           1e-6.
Expect:    responses of one turn call no tool, so tool_reward/calls and
           tool_reward/bonus are 0 and the run is that of Dr.GRPO.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="tool_reward",
  chain=("tool_reward", "dr_grpo"),
  published={
    "tool_reward.per_call": 0.1,
    "tool_reward.cap": 1.0,
    "rollout.per_prompt": 16,
    "loss.aggregation": "seq-mean-token-sum-norm",
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
