r"""GRPO with clip bounds that let the entropy rise first and fall later.

Paper:     Flexible Entropy Control in RLVR with a Gradient-Preserving
           Perspective, arXiv 2602.09782.
Command:   python -m experiments.train \
               --config=configs/methods/gradient_preserving_clip.py:runlocal \
               --workdir=runs/gradient_preserving_clip
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: "id" over 400 steps of 512 prompts with 8 responses, AdamW at 1e-6,
           sampled at temperature 1 (second hand; the paper has no code).
Expect:    the entropy falls as with GRPO at first, then faster, to 0.02 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="gradient_preserving_clip",
  chain=("grpo", "gradient_preserving_clip"),
  published={
    "steps": 400,
    "gradient_preserving_clip.strategy": "id",
    "rollout.prompts": 512,
    "rollout.per_prompt": 8,
    "rollout.temperature": 1.0,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
