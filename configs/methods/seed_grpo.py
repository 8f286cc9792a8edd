r"""Smaller advantages where the answers of a prompt differ.

Paper:     SEED-GRPO, arXiv 2505.12346.
Command:   python -m experiments.train \
               --config=configs/methods/seed_grpo.py:runlocal \
               --workdir=runs/seed_grpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: 8 or 16 responses a prompt on GRPO without deviation; its strength is
           not known here; the closed form, 0.5 and the learning rate of 1e-6
           are our choice.
Expect:    seed_grpo/factor begins near 0.5, as nearly all answers differ, and
           rises to 1 as the policy settles on one; the entropy ends as with
           dr_grpo, between 0.02 and 0.06 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="seed_grpo",
  chain=("dr_grpo", "seed_grpo"),
  published={"rollout.per_prompt": 8, "optimizer.learning_rate": 1e-06},
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
