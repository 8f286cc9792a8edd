r"""GRPO without gradient for a few tokens of high covariance.

Paper:     The Entropy Mechanism of RL (Clip-Cov), arXiv 2505.22617.
Command:   python -m experiments.train \
               --config=configs/methods/clip_cov.py:runlocal \
               --workdir=runs/clip_cov
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-7B and 32B on DAPO-Math, 2e-4 of the tokens, window 1 to 5,
           clip bounds of 1, 256 prompts with 8 responses, 8 updates, learning
           rate 5e-7 (7B; 1e-6 for 32B), no weight decay.
Expect:    with 2e-4 of so few tokens about one token a minibatch is dropped,
           and nothing is held: the entropy falls as with GRPO, or deeper.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="clip_cov",
  chain=("grpo", "clip_cov"),
  published={
    "clip_cov.fraction": 0.0002,
    "clip_cov.low": 1.0,
    "clip_cov.high": 5.0,
    "loss.clip_low": 1.0,
    "loss.clip_high": 1.0,
    "rollout.prompts": 256,
    "rollout.per_prompt": 8,
    "train.updates": 8,
    "optimizer.learning_rate": 5e-07,
    "optimizer.warmup": 0,
    "optimizer.weight_decay": 0.0,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
