r"""Extra credit for tokens that plan, here for the most uncertain ones.

Paper:     Emergent Hierarchical Reasoning in LLMs (HICRA), arXiv 2509.03646.
Command:   python -m experiments.train \
               --config=configs/methods/hicra.py:runlocal \
               --workdir=runs/hicra
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: strength 0.2 on advantages without deviation, clip-higher, planning
           tokens by strategic grams. Those need a list: mine one with
           experiments.mine_grams, then set hicra.grams and hicra.proxy=None;
           without it this runs our proxy. The upper bound of 0.28 and the
           learning rate 1e-6 are our choice.
Expect:    hicra/planning_fraction near 0.2 and hicra/credit above 0; the
           entropy falls less deep than with dr_grpo and ends between 0.1 and
           0.2 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="hicra",
  chain=("dr_grpo", "hicra"),
  published={
    "hicra.coef": 0.2,
    "loss.clip_high": 0.28,
    "optimizer.learning_rate": 1e-06,
  },
  small={"hicra.coef": 0.5},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
