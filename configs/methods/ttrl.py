r"""The majority answer of a group stands for the truth.

Paper:     TTRL: Test-Time Reinforcement Learning, arXiv 2504.16084.
Command:   python -m experiments.train \
               --config=configs/methods/ttrl.py:runlocal \
               --workdir=runs/ttrl
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: 8 prompts with 64 votes, the first 32 of which train, an update for
           each prompt, learning rate 5e-7. Left out: its cosine decay after
           3 % of warm-up (the decay here is linear, and off), and the KL term.
Expect:    ttrl/majority_fraction rises to nearly 1 and the entropy falls to
           nearly 0 faster than with GRPO: one answer is left of many right
           ones, and it is right as often as ttrl/label_accuracy says.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="ttrl",
  chain=("ttrl", "grpo"),
  published={
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
