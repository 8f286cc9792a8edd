r"""Votes without labels, on prompts whose first majority has not lost votes.

Paper:     Open-Set Test-Time Adaptation Utilizing the Wisdom of Crowds, arXiv
           2308.06879.
Command:   python -m experiments.train \
               --config=configs/methods/open_set_tta.py:runlocal \
               --workdir=runs/open_set_tta
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: classifiers of images only. TTRL's 8 prompts with 64 votes, half of
           which train, and its learning rate of 5e-7; one standard error of
           slack is our choice.
Expect:    open_set_tta/judged_fraction is 0 in the first step and 1 from about
           the tenth on; then open_set_tta/kept_fraction falls below 1, as a
           problem of many right answers often changes its majority. pass@1
           falls as with TTRL alone: the method is for problems with one right
           answer.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="open_set_tta",
  chain=("ttrl", "open_set_tta", "grpo"),
  published={
    "open_set_tta.slack": 1.0,
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
