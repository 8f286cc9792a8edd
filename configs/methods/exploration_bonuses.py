r"""Dr.GRPO with a bonus for right answers new in their group and in the run.

Paper:     Global and Episodic Bonuses for Exploration in Contextual MDPs, arXiv
           2306.03236.
Command:   python -m experiments.train \
               --config=configs/methods/exploration_bonuses.py:runlocal \
               --workdir=runs/exploration_bonuses
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: E3B times NovelD on games, ridge 0.1, coefficient 1, scale 0.1, and
           1e-4 for the predictor. What is an episode, Dr.GRPO and the learning
           rate of 1e-6 of the policy are our choice.
Expect:    the entropy stays at 0.7 nats, where that of Dr.GRPO falls to 0.1 or
           less, and of 16 samples 14 are different right answers, where Dr.GRPO
           has two; exploration_bonuses/new_fraction begins at 1 and falls to
           0.1 as prompts come again.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="exploration_bonuses",
  chain=("exploration_bonuses", "dr_grpo"),
  published={
    "exploration_bonuses.coef": 1.0,
    "exploration_bonuses.ridge": 0.1,
    "exploration_bonuses.global_bonus": "noveld",
    "exploration_bonuses.noveld_scale": 0.1,
    "exploration_bonuses.rate": 1e-4,
    "optimizer.learning_rate": 1e-06,
  },
  # E3B times counts of answers.
  small={"exploration_bonuses.coef": 0.3},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
