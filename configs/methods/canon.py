r"""Advantages against the other half of the group, split by entropy.

Paper:     Conditional Advantage Estimation (CANON), arXiv 2509.23962.
Command:   python -m experiments.train \
               --config=configs/methods/canon.py:runlocal \
               --workdir=runs/canon
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-7B, the variant Inter by entropy, 512 prompts with 16
           responses, 16 updates, learning rate 1e-6 after 5 steps, bounds 0.2
           and 0.28, sums over tokens divided by the length limit of 8192 (times
           the 512 rows of an update).
Expect:    canon/reward_gap is below 0 at first: the more certain half earns
           more. How far the entropy falls hangs on the seed: to 0.1 nats, as
           with GRPO, in one run and to 0.3 in another.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="canon",
  chain=("canon",),
  published={
    "canon.mix": 1.0,
    "rollout.prompts": 512,
    "rollout.per_prompt": 16,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 5,
    "loss.clip_high": 0.28,
    "loss.aggregation": "seq-mean-token-sum-norm",
    "loss.scale": 4194304.0,
  },
  small={"canon.mix": 1.0},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
