r"""CURE in two stages: branches that explore, then plain DAPO on their ground.

Paper:     CURE: Critical-token-guided Re-concatenation for Entropy-collapse
           prevention, arXiv 2508.11016.
Command:   python -m experiments.train --config=configs/cure.py:runlocal \
               --workdir=runs/cure_stages
           python -m experiments.train \
               --config=configs/cure.py:stage=2,runlocal \
               --workdir=runs/cure_stages
           the second goes on where the first ended, with another chain
Hardware:  2 CPU cores
Time:      3 minutes both, 2 of them for the warm start
Published: those of configs/methods/cure.py for 300 steps; then 16 responses and
           no continuations. How long the second stage lasts is not known to us:
           300 steps here, too. The authors choose among prompts by sampling
           anew in the first stage and not in the second; here groups without a
           signal are masked in the first.
Expect:    not run by us yet. In the paper the entropy rises in the first stage
           and falls in the second, while the accuracy rises.
"""

from ml_collections import ConfigDict

from configs import common, recipe
from configs.methods import cure


def _alone(values: recipe.Values) -> recipe.Values:
  """Without what belongs to the continuations."""
  return {k: v for k, v in values.items() if not k.startswith("cure.")}


FIRST = cure.RECIPE
SECOND = FIRST._replace(
  name="cure_stage_2",
  chain=("overlong_shaping", "grpo", "ppo_clip"),
  published=_alone(FIRST.published) | {"rollout.per_prompt": 16},
  small=_alone(FIRST.small) | {"rollout.per_prompt": 8},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration.

  Args:
    arg: "stage=2" for the second stage; the rest as `recipe.config` has it.

  Raises:
    ValueError: the stage is neither 1 nor 2.
  """
  given = common.parse_arg(arg, stage=1, runlocal=False, tiny=False)
  stage = given.pop("stage")
  if stage not in (1, 2):
    raise ValueError(f"config argument stage = {stage} must be 1 or 2.")
  words = ",".join(name for name, said in given.items() if said)
  c = recipe.config(FIRST if stage == 1 else SECOND, words)
  steps = c.steps if given["runlocal"] else 600
  c.steps = steps if stage == 2 else steps // 2
  c.checkpoint.new_chain = stage == 2
  return c
