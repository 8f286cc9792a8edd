r"""GRPO with a smaller reward for the likelier of the right answers.

Paper:     Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening,
           arXiv 2506.02355.
Command:   python -m experiments.train \
               --config=configs/methods/unlikeliness.py:runlocal \
               --workdir=runs/unlikeliness
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: discount 0.25, 32 responses, divergence from the reference at 0.1,
           learning rate 1e-6, two passes over each rollout (here one); Lean
           proofs.
Expect:    the entropy stays at 0.75 nats where that of GRPO falls to 0.1 or
           less, since groups of right answers go on learning from their ranks;
           13 or 14 distinct right answers of 16, pass@1 as with GRPO or more.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="unlikeliness",
  chain=("unlikeliness", "grpo", "kl_penalty"),
  published={
    "unlikeliness.discount": 0.25,
    "kl_penalty.coef": 0.1,
    "rollout.per_prompt": 32,
    "optimizer.learning_rate": 1e-06,
  },
  # The divergence alone would hold the entropy.
  small={
    "kl_penalty.coef": 0.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
