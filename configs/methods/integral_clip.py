r"""GRPO with an upper clip bound that follows the entropy.

Paper:     none; a public note on the training of MAI-Thinking-1.
Command:   python -m experiments.train \
               --config=configs/methods/integral_clip.py:runlocal \
               --workdir=runs/integral_clip
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: no numbers; rate 0.01, bounds 0.2 to 0.5 and the learning rate of
           1e-6 are our choice.
Expect:    the bound opens once the entropy is below 0.5 nats, up to a ratio of
           3, and holds nothing: few ratios reach it here, and the entropy ends
           between 0.07 and 0.12 nats, as GRPO's does (0.04 and 0.11).
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="integral_clip",
  chain=("grpo", "integral_clip"),
  published={"optimizer.learning_rate": 1e-06},
  small={
    "integral_clip.target_entropy": 0.5,
    "integral_clip.rate": 0.5,
    "integral_clip.high": 2.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
