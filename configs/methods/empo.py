r"""The share of a group that gives the same answer is the reward.

Paper:     Right Question is Already Half the Answer (EMPO), arXiv 2504.05812.
Command:   python -m experiments.train \
               --config=configs/methods/empo.py:runlocal \
               --workdir=runs/empo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-7B on 20,000 problems of NuminaMath without their
           answers: 256 prompts with 16 responses, 8 updates, learning rate
           5e-7, no divergence. The bounds on the entropy are the paper's, which
           gives no numbers, at their natural ends. Left out: the released run's
           ratio and bounds, those of gspo.
Expect:    as ttrl, this task has many right answers and none is right for being
           frequent: groups without two equal answers are dropped at first,
           empo/kept_fraction rises and then falls as groups become unanimous;
           empo/semantic_entropy and the entropy fall to nearly 0, and pass@1
           falls with them. The method is for problems with one right answer.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="empo",
  chain=("empo", "grpo"),
  published={
    "empo.entropy_low": 0.0,
    "empo.entropy_high": 1.0,
    "rollout.prompts": 256,
    "rollout.per_prompt": 16,
    "train.updates": 8,
    "optimizer.learning_rate": 5e-07,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
