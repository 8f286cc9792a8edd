from ml_collections import ConfigDict

from configs import recipe
from configs.methods import group_filter

RECIPE = group_filter.RECIPE._replace(
  chain=("overlong_shaping", "grpo", "ppo_clip"),
  published=group_filter.RECIPE.published
  | {"rollout.dynamic.metric": "correct", "rollout.dynamic.factor": 3.0},
  small=group_filter.RECIPE.small
  | {"rollout.dynamic.metric": "correct", "rollout.dynamic.max_batches": 0},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
