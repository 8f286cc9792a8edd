r"""GRPO on one training problem, with an entropy bonus.

Paper:     RL for Reasoning in LLMs with One Training Example, arXiv 2504.20571.
Command:   python -m experiments.train \
               --config=configs/methods/one_shot_rlvr.py:runlocal \
               --workdir=runs/one_shot_rlvr
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-1.5B, one problem 128 times with 8 responses each, 8
           updates, temperature 0.6, prompts up to 1024 and responses up to 3072
           tokens, entropy 1e-3, divergence 1e-3, learning rate 1e-6 and no
           decay. Which problem is told by a run on all of them; here it is the
           first. runlocal trains on all problems unless --config.task.subset
           names some.
Expect:    with all problems the entropy falls slower than with GRPO.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="one_shot_rlvr",
  chain=("grpo", "one_shot_rlvr"),
  published={
    "task.subset": (0,),
    "one_shot_rlvr.policy_coef": 1.0,
    "one_shot_rlvr.entropy_coef": 1e-3,
    "one_shot_rlvr.kl_coef": 1e-3,
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "rollout.max_prompt": 1024,
    "rollout.max_response": 3072,
    "rollout.temperature": 0.6,
    "rollout.score_temperature": 0.6,
    "train.updates": 8,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 0,
    "optimizer.weight_decay": 0.01,
  },
  small={
    "one_shot_rlvr.entropy_coef": 0.02,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
