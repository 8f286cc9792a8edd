r"""GRPO with clip bounds that move until positive tokens weigh enough.

Paper:     BAPO: Balanced Policy Optimization with Adaptive Clipping, arXiv
           2510.18927.
Command:   python -m experiments.train \
               --config=configs/methods/bapo.py:runlocal \
               --workdir=runs/bapo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: share 0.4 of the positive tokens, lower bound 0.6 to 0.9 by 0.02,
           upper bound 1.2 to 3.0 by 0.05, learning rate 2e-6 (paper); 256
           prompts with 16 responses, 4 updates of 64 prompts (script, which
           goes over a rollout twice). The paper's temperature of 0.6 and
           limit of 8k tokens are left out.
Expect:    runlocal misses its target of 0.55 in most updates, so the bounds go
           to 3.0 and 0.9, and the entropy ends between 0.06 and 0.12 nats, as
           GRPO's does (0.04 and 0.11).
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="bapo",
  chain=("grpo", "bapo"),
  published={
    "bapo.target": 0.4,
    "bapo.low_start": 0.6,
    "bapo.low_max": 0.9,
    "bapo.low_step": 0.02,
    "bapo.high_start": 1.2,
    "bapo.high_max": 3.0,
    "bapo.high_step": 0.05,
    "rollout.prompts": 256,
    "rollout.per_prompt": 16,
    "train.updates": 4,
    "optimizer.learning_rate": 2e-6,
  },
  # Group-centred advantages make a share near 0.5: 0.4 would be met at once.
  small={"bapo.target": 0.55},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
