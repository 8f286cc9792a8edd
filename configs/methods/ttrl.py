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
Expect:    this task has many right answers, so votes are split and the majority
           is one answer of many: all others are punished, right ones too. The
           entropy falls to nearly 0 faster than with GRPO, ttrl/label_accuracy
           from above 0.7 to 0.14 or less, and pass@1 with it. The method is for
           problems with one right answer.
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
