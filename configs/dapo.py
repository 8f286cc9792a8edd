r"""DAPO in full: dynamic sampling, overlong punishment and clip-higher.

Paper:     DAPO: An Open-Source LLM Reinforcement Learning System at Scale,
           arXiv 2503.14476.
Command:   python -m experiments.train --config=configs/dapo.py:runlocal \
               --workdir=runs/dapo
           and configs/qwen2_5_math_7b_dapo.py:method=overlong_shaping,dynamic
           for the published data
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-32B, those of configs/methods/group_filter.py, and 1536
           prompts at a time, of which the first 512 with right and wrong
           answers make a step, after 10 times at most.
Expect:    the mean reward of what is drawn rises from 0.74 to 0.98, so that a
           step takes 8 batches in the end in place of 2 (107 in 25 steps);
           pass@1 on unseen problems rises from 0.79 after the first step to
           0.93, and the entropy falls from 0.94 to 0.49 nats.
"""

from ml_collections import ConfigDict

from configs import published, recipe
from configs.methods import group_filter

# Nothing is left for the mask to do.
RECIPE = group_filter.RECIPE._replace(
  name="dapo",
  chain=("overlong_shaping", "grpo", "ppo_clip"),
  published=group_filter.RECIPE.published | published.DYNAMIC,
  # So small a task is soon solved: each further step takes more batches.
  small=group_filter.RECIPE.small
  | {
    "steps": 25,
    "rollout.dynamic.metric": "correct",
    "rollout.dynamic.max_batches": 0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
