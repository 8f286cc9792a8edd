r"""GRPO that punishes responses without an end and endless repetition.

Paper:     T1, arXiv 2501.11651.
Command:   python -m experiments.train \
               --config=configs/methods/malformed_penalty.py:runlocal \
               --workdir=runs/malformed_penalty
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: No number is known: penalties of 1 and runs of 20 tokens, more than
           ten times, are ours, and so is the learning rate.
Expect:    next to nothing to punish: in some steps one or two responses of 512
           have no end or repeat themselves. The run ends as GRPO's does, at 0.1
           nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="malformed_penalty",
  chain=("malformed_penalty", "grpo"),
  published={
    "optimizer.learning_rate": 1e-06,
  },
  small={
    # No right answer holds a run of three twice.
    "malformed_penalty.ngram": 3,
    "malformed_penalty.most": 1,
    # One token more than the longest answer: what fills it has no end.
    "rollout.max_response": 8,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
