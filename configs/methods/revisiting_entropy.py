r"""GRPO whose right answers count less while the entropy is low.

Paper:     Revisiting Entropy in Reinforcement Learning for Large Reasoning
           Models, arXiv 2511.05993.
Command:   python -m experiments.train \
               --config=configs/methods/revisiting_entropy.py:runlocal \
               --workdir=runs/revisiting_entropy
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-7B, target 0.2 nats, weight from 0 by 0.05 a step, 1
           update per rollout (paper, second hand). Learning rate, prompts and
           responses are not known: 1e-6, 512 and 8, as DAPO's.
Expect:    the weight climbs to 1 within ten steps and goes to 0 once the
           entropy is below 0.3; it does not come back, and the entropy ends
           between 0.06 and 0.12 nats, as GRPO's does.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="revisiting_entropy",
  chain=("grpo", "revisiting_entropy"),
  published={
    "revisiting_entropy.target": 0.2,
    "revisiting_entropy.delta": 0.05,
    "revisiting_entropy.initial": 0.0,
    "rollout.prompts": 512,
    "rollout.per_prompt": 8,
    "train.updates": 1,
    "optimizer.learning_rate": 1e-06,
  },
  small={"revisiting_entropy.target": 0.3, "revisiting_entropy.delta": 0.1},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
