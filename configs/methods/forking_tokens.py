r"""GRPO on the fifth of the tokens with the highest entropy.

Paper:     Beyond the 80/20 Rule, arXiv 2506.01939.
Command:   python -m experiments.train \
               --config=configs/methods/forking_tokens.py:runlocal \
               --workdir=runs/forking_tokens
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen3-8B to 32B base: a fifth of the tokens, 512 prompts with 16
           responses, 16 updates, bounds 0.2 and 0.28, dual clip 10, learning
           rate 1e-6 without warm-up (their script has one of 10 steps),
           responses up to 20480 tokens. Their dynamic sampling and overlong
           penalty are left out.
Expect:    pass@1 rises as with GRPO; the responses are so short that there is
           no certain majority, half of the tokens are kept, and those weigh
           twice as much. The entropy ended at 0.02 nats in one run and at 0.20
           in another, below and above that of GRPO.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="forking_tokens",
  chain=("grpo", "ppo_clip", "forking_tokens"),
  published={
    "forking_tokens.fraction": 0.2,
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.28,
    "ppo_clip.dual": 10.0,
    "rollout.prompts": 512,
    "rollout.per_prompt": 16,
    "rollout.max_response": 20480,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 0,
    "optimizer.weight_decay": 0.1,
    "optimizer.max_gradient_norm": 1.0,
  },
  small={
    "forking_tokens.fraction": 0.5,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
