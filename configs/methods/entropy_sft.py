r"""Entropy-SFT on the policy's own right answers.

Paper:     Light-IF (Entropy-SFT), arXiv 2508.03178.
Command:   python -m experiments.train \
               --config=configs/methods/entropy_sft.py:runlocal \
               --workdir=runs/entropy_sft
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen3-1.7B, 0.8 of the tokens by cross-entropy less 0.8 of the
           entropy, learning rate 1e-5, 3 epochs of about 2000 responses that a
           policy of an earlier stage gave: a supervised stage, as
           configs/sft.py:method=entropy_sft has it. Here right answers of the
           policy itself take the place of these, with one update a rollout.
Expect:    little moves, as nothing is learnt from wrong answers: the entropy
           goes from 0.95 to 0.90 nats, pass@1 stays at 0.68.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="entropy_sft",
  chain=("positive_negative_reinforcement", "entropy_sft"),
  published={
    "positive_negative_reinforcement.mode": "positive",
    "entropy_sft.fraction": 0.8,
    "entropy_sft.coef": 0.8,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-05,
  },
  small={
    "positive_negative_reinforcement.mode": "positive",
    "train.updates": 1,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
