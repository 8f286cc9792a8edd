r"""Token-level RLVR: every part of the step looks at the token's entropy.

Paper:     From Uniform to Heterogeneous: Tailoring Policy Optimization to
           Every Token's Nature (HAPO), arXiv 2509.16591.
Command:   python -m experiments.train \
               --config=configs/methods/hapo.py:runlocal \
               --workdir=runs/hapo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: pivot 0.8, tau 0.05, both strengths 1, dual clip 10, 512 prompts
           with 16 responses, 16 updates, learning rate 1e-6 after 10 steps,
           weight decay 0.1 (scripts); bounds 0.2 and 0.28 (paper). The authors
           also filter groups that are right or wrong throughout.
Expect:    how far the entropy falls hangs on the seed: to 0.17 nats, above
           GRPO, in one run and to 0.04, as GRPO, in another.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="hapo",
  chain=("hapo",),
  published={
    "hapo.pivot": 0.8,
    "hapo.tau": 0.05,
    "hapo.alpha": 1.0,
    "hapo.beta": 1.0,
    "hapo.low": 0.2,
    "hapo.high": 0.28,
    "hapo.dual": 10.0,
    "rollout.prompts": 512,
    "rollout.per_prompt": 16,
    "rollout.temperature": 1.0,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 10,
    "optimizer.weight_decay": 0.1,
  },
  small={"hapo.tau": 0.2},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
