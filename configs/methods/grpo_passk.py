r"""Only the best of a group learns, by its lead over the second best.

Paper:     Optimizing Language Models for Inference Time Objectives using
           Reinforcement Learning, arXiv 2503.19595.
Command:   python -m experiments.train \
               --config=configs/methods/grpo_passk.py:runlocal \
               --workdir=runs/grpo_passk
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: verl has the estimator and no recipe; its epsilon is 1e-6. The
           learning rate of 1e-6 is our choice.
Expect:    pass@1 rises slower than with GRPO, to 0.87 in one run and 0.96 in
           another, as only the better answer of a pair is learnt from and none
           is pushed down; entropy ends between 0.15 and 0.33 nats.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="grpo_passk",
  chain=("grpo_passk",),
  published={
    "grpo_passk.epsilon": 1e-06,
    "optimizer.learning_rate": 1e-06,
  },
  # Of 8 answers one alone is seldom right, of two often.
  small={
    "rollout.prompts": 256,
    "rollout.per_prompt": 2,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
