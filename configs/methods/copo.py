r"""Groups that agree learn from the other prompts.

Paper:     COPO: Consistency-Aware Policy Optimization, arXiv 2508.04138.
Command:   python -m experiments.train \
               --config=configs/methods/copo.py:runlocal \
               --workdir=runs/copo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: slope 20 and threshold 0.5 bits (scripts), 512 prompts in 16 updates,
           bounds of 0.2, learning rate 1e-6, every response counts alike. An
           optional penalty of 0.001 on the divergence is left out.
Expect:    copo/local_fraction begins near 1 and falls as the answers of groups
           agree; then right groups are pushed on where GRPO has no gradient
           left, and the entropy ends between 0.03 and 0.06 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="copo",
  chain=("copo",),
  published={
    "copo.slope": 20.0,
    "copo.threshold": 0.5,
    "rollout.prompts": 512,
    "train.updates": 16,
    "loss.aggregation": "seq-mean-token-mean",
    "optimizer.learning_rate": 1e-06,
  },
  small={"loss.aggregation": "seq-mean-token-mean"},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
