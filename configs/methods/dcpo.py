r"""DCPO: AEPO's hold on the entropy by weights, without another draw.

Paper:     DCPO, arXiv 2601.12730.
Command:   python -m experiments.train \
               --config=configs/methods/dcpo.py:runlocal \
               --workdir=runs/dcpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: targets of 0.25 (best) to 1 nat, temperatures 0.8 and 1.2, errors
           of the entropy up to 0.1; otherwise as AEPO, whose code it shares.
Expect:    the entropy falls below the target of 0.5 nats, to 0.2, and comes
           back to about 0.3, above that of GRPO: the temperature is at its
           upper end from step 20 on.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="dcpo",
  chain=("grpo", "dcpo"),
  published={
    "dcpo.target_entropy": 0.25,
    "rollout.prompts": 512,
    "rollout.per_prompt": 5,
    "rollout.top_p": 0.99,
    "train.updates": 4,
    "optimizer.learning_rate": 1e-06,
    "optimizer.weight_decay": 0.01,
  },
  small={
    "dcpo.target_entropy": 0.5,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
