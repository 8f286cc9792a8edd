r"""GRPO with gradient past the upper bound, and advantages by entropy.

Paper:     Agentic Entropy-Balanced Policy Optimization, arXiv 2510.14545.
Command:   python -m experiments.train \
               --config=configs/methods/agentic_aepo.py:runlocal \
               --workdir=runs/agentic_aepo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: bounds 0.2, dual clip 3, strength 0.2, 64 prompts with 12 responses,
           6 of them begun at once, chance 0.5, weight 0.2, penalty 0.05, 8
           updates, learning rate 1e-6, prompts up to 2000 and responses up to
           6192 tokens (scripts for Qwen3-14B on 1000 problems). Left out:
           tools. Its rewards are the style "arpo" of the task "files".
Expect:    little, without branches: one token in 600 is past the upper bound,
           no advantage changes its sign. The entropy ends at 0.07 nats with one
           seed and at 0.26 with another, below and above that of GRPO (0.12 and
           0.09), and pass@1 at 0.94 and 0.99.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="agentic_aepo",
  chain=("grpo", "agentic_aepo"),
  published={
    "agentic_aepo.low": 0.2,
    "agentic_aepo.high": 0.2,
    "agentic_aepo.dual": 3.0,
    "agentic_aepo.coef": 0.2,
    "rollout.prompts": 64,
    "agentic_aepo.branches": 1,
    "agentic_aepo.threshold": 0.5,
    "agentic_aepo.weight": 0.2,
    "agentic_aepo.penalty": 0.05,
    "rollout.per_prompt": 6,
    "rollout.temperature": 1.0,
    "rollout.max_prompt": 2000,
    "rollout.max_response": 6192,
    "loss.aggregation": "token-mean",
    "train.updates": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
