r"""Branches of a few responses in place of many whole ones; all of them vote.

Paper:     ETTRL: entropy-fork tree majority rollout (ETMR), arXiv 2508.11356,
           on top of TTRL, arXiv 2504.16084.
Command:   python -m experiments.train \
               --config=configs/methods/ettrl_etmr.py:runlocal \
               --workdir=runs/ettrl_etmr
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: 12 responses with 2 forks of 2 branches, so 60 leaves to each of 8
           prompts, an update for each prompt, temperature 1, learning rate
           5e-7. Left out: its cosine decay after 3 % of warm-up (the decay here
           is linear, and off), and the KL term.
Expect:    as ttrl: in 25 steps the entropy falls from 0.95 to 0.11 nats, and to
           0.02 in the end, ttrl/label_accuracy from 0.84 to 0.06 and pass@1
           from 0.69 to 0.03. Answers of 4 to 7 tokens have little to share, and
           half of the branches part at the first token: 86 to 91 % of the
           leaves' tokens are sampled at first, 65 to 81 % later.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="ettrl_etmr",
  chain=("ettrl_etmr", "ttrl", "grpo"),
  published={
    "ettrl_etmr.forks": 2,
    "ettrl_etmr.branches": 2,
    "rollout.prompts": 8,
    "rollout.per_prompt": 12,
    "rollout.temperature": 1.0,
    "train.updates": 8,
    "optimizer.learning_rate": 5e-07,
  },
  # 480 leaves, where the others sample 512 responses.
  small={"rollout.prompts": 32, "rollout.per_prompt": 3},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
