r"""GRPO with a bonus for answers that are rare in their group.

Paper:     Action Redundancy in Reinforcement Learning, arXiv 2102.11329.
Command:   python -m experiments.train \
               --config=configs/methods/action_redundancy.py:runlocal \
               --workdir=runs/action_redundancy
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: nothing for language models; 0.05 per nat in groups of which less
           than half are right, and the learning rate of 1e-6, are our choice.
Expect:    with the bonus in all groups, as runlocal has it, responses to one
           problem keep giving several different right answers, and the
           entropy stays above that of GRPO.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="action_redundancy",
  chain=("action_redundancy", "grpo"),
  published={
    "action_redundancy.coef": 0.05,
    "action_redundancy.gate": "half",
    "optimizer.learning_rate": 1e-06,
  },
  # A problem of the task has many right answers, so none is to be protected.
  small={"action_redundancy.coef": 0.1, "action_redundancy.gate": "all"},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
