r"""GRPO with clipped importance weights in place of the clipped loss.

Paper:     MiniMax-M1 (CISPO), arXiv 2506.13585.
Command:   python -m experiments.train \
               --config=configs/methods/cispo.py:runlocal \
               --workdir=runs/cispo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: no lower bound; ratios up to 5 (TRL); 8 responses a prompt and
           learning rate 1e-6 are what papers on entropy run GRPO with.
Expect:    no token is dropped, so the entropy falls faster than with GRPO at
           first, to less than half in ten steps, and ends between 0.10 and 0.16
           nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="cispo",
  chain=("grpo", "cispo"),
  published={
    "cispo.low": 1.0,
    "cispo.high": 4.0,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
