r"""Votes for rewards, and smaller advantages for uncertain responses.

Paper:     ETTRL: entropy-based advantage reshaping (EAR), arXiv 2508.11356, on
           top of TTRL, arXiv 2504.16084.
Command:   python -m experiments.train \
               --config=configs/methods/ettrl_ear.py:runlocal \
               --workdir=runs/ettrl_ear
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: the form Adv-Res, which has no number; those of TTRL otherwise: 8
           prompts with 64 votes, 32 of which train, an update for each prompt,
           learning rate 5e-7. Left out: its cosine decay after 3 % of warm-up
           (the decay here is linear, and off), and the KL term.
Expect:    as ttrl, whose votes it weighs: the entropy falls to nearly 0 and
           pass@1 with it, to 0.1 or 0.2.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="ettrl_ear",
  chain=("ttrl", "grpo", "ettrl_ear"),
  published={
    "ettrl_ear.form": "res",
    "ttrl.train": 32,
    "rollout.prompts": 8,
    "rollout.per_prompt": 64,
    "train.updates": 8,
    "optimizer.learning_rate": 5e-07,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
