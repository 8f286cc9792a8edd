r"""GRPO without the negative tokens that would lower the entropy most.

Paper:     On the Entropy Dynamics in Reinforcement Fine-Tuning of Large
           Language Models, arXiv 2602.03392.
Command:   python -m experiments.train \
               --config=configs/methods/entropy_dynamics_rft.py:runlocal \
               --workdir=runs/entropy_dynamics_rft
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Clip_B with 2.5 deviations, 64 prompts with 16 responses, sampled
           and trained at temperature 1, from the authors' configuration; the
           learning rate is not in it, 1e-6 is our choice. Clip_V: variant
           "clip_v", 8 responses.
Expect:    a few tokens in a hundred at most are left out, and the entropy falls
           slower than with GRPO, but still falls.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="entropy_dynamics_rft",
  chain=("grpo", "entropy_dynamics_rft"),
  published={
    "entropy_dynamics_rft.variant": "clip_b",
    "entropy_dynamics_rft.mu": 2.5,
    "rollout.prompts": 64,
    "rollout.per_prompt": 16,
    "rollout.temperature": 1.0,
    "optimizer.learning_rate": 1e-06,
  },
  small={"entropy_dynamics_rft.mu": 1.0},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
