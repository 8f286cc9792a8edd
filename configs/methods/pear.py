r"""GRPO with less reward for right answers after uncertain thinking.

Paper:     PEAR: Phase Entropy Aware Reward for Efficient Reasoning, arXiv
           2510.08026.
Command:   python -m experiments.train \
               --config=configs/methods/pear.py:runlocal \
               --workdir=runs/pear
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: models that think between tags, on GSM8K: weight 1 of the answer's
           entropy, 128 prompts, learning rate 1e-6. Responses a prompt, bounds
           and divergence are not known here: 8, 0.2 and none are our choice.
Expect:    responses of this task hold no tag, so all of each is thinking:
           pear/penalty begins near the entropy of 0.95 nats, right answers earn
           little more than wrong ones, and of these the surest most. The
           penalty and the entropy fall to nearly 0, the entropy faster than
           with GRPO.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="pear",
  chain=("pear", "grpo"),
  published={
    "pear.answer_coef": 1.0,
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "optimizer.learning_rate": 1e-06,
  },
  # Without it a right answer would be punished wherever P exceeds 1 nat.
  small={"pear.min_reward": 0.0},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
