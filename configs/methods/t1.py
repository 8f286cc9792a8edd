r"""T1: many samples per prompt, an entropy bonus, an anchor that moves.

Paper:     Advancing Language Model Reasoning through Reinforcement Learning and
           Inference Scaling (T1), arXiv 2501.11651.
Command:   python -m experiments.train \
               --config=configs/methods/t1.py:runlocal \
               --workdir=runs/t1
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: GLM-4-9B, Qwen2.5-14B and 32B after supervised training on long
           chains of thought; no number is known for certain. 64 responses at
           temperature 1.2 are told from memory; the cut at 0.05 of the largest
           probability, both coefficients of 1e-3, the slow copy's 0.99, 64
           prompts an update and the learning rate are ours. All responses
           train.
Expect:    the entropy settles at 0.55 nats, where that of RLOO falls to 0.03,
           and ten distinct right answers are left of 16; the half that trains
           has a quarter more spread in its rewards than all that were sampled.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="t1",
  chain=("malformed_penalty", "rloo", "t1", "entropy_bonus", "kl_penalty"),
  published={
    "entropy_bonus.coef": 1e-3,
    "kl_penalty.coef": 1e-3,
    "kl_penalty.anchor": "ema",
    "train.ema_decay": 0.99,
    "rollout.prompts": 64,
    "rollout.per_prompt": 64,
    "rollout.temperature": 1.2,
    "rollout.score_temperature": 1.2,
    "rollout.min_p": 0.05,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
  },
  # As many rows as the others sample, half of which train.
  small={
    "t1.train": 8,
    "t1.select": "balanced",
    "malformed_penalty.ngram": 3,
    "malformed_penalty.most": 1,
    "entropy_bonus.coef": 0.01,
    "kl_penalty.coef": 0.04,
    "kl_penalty.anchor": "ema",
    "train.ema_decay": 0.99,
    "rollout.prompts": 32,
    "rollout.per_prompt": 16,
    # One token more than the longest answer: what fills it has no end.
    "rollout.max_response": 8,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
