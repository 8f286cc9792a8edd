r"""GRPO that holds up the least likely punished tokens.

Paper:     Low-probability Tokens Sustain Exploration (Lp-Reg), arXiv
           2510.03222.
Command:   python -m experiments.train \
               --config=configs/methods/lp_reg.py:runlocal \
               --workdir=runs/lp_reg
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen3-14B-Base: 0.01 of the punished tokens, filter at 0.02 of the
           largest probability, ratios up to 10, 256 prompts with 8 responses,
           one update (32 prompts an update, so 8, off-policy), learning rate
           1e-6, no weight decay, prompts up to 2048 and responses up to 8192
           tokens.
Expect:    close to GRPO: at most a few percent of the tokens are pulled, and
           fewer as the policy becomes certain.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="lp_reg",
  chain=("grpo", "ppo_clip", "lp_reg"),
  published={
    "lp_reg.coef": 1.0,
    "lp_reg.min_p": 0.02,
    "lp_reg.negative_share": 0.01,
    "ppo_clip.low": 1.0,
    "ppo_clip.high": 9.0,
    "ppo_clip.max_log_ratio": None,
    "rollout.prompts": 256,
    "rollout.per_prompt": 8,
    "rollout.max_prompt": 2048,
    "rollout.max_response": 8192,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
    "optimizer.weight_decay": 0.0,
  },
  small={
    "lp_reg.negative_share": 0.2,
    "lp_reg.min_p": 0.1,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
