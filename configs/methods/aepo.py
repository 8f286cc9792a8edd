r"""AEPO: the entropy held at a target by tempered right answers.

Paper:     Arbitrary Entropy Policy Optimization, arXiv 2510.08141.
Command:   python -m experiments.train \
               --config=configs/methods/aepo.py:runlocal \
               --workdir=runs/aepo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-7B on DAPO-Math-17k, target 0.5 nats (best run 0.75),
           512 prompts with 5 responses, top-p 0.99, temperatures 0.8 and 1.2,
           60 tempered rows, 4 updates, learning rate 1e-6, weight decay 0.01;
           a dual clip of 3 (ppo_clip) is left out here.
Expect:    the entropy settles at the target of 0.5 nats, and nine or ten
           distinct right answers are left of 16.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="aepo",
  chain=("grpo", "aepo"),
  published={
    "aepo.target_entropy": 0.5,
    "rollout.prompts": 512,
    "rollout.per_prompt": 5,
    "rollout.top_p": 0.99,
    "train.updates": 4,
    "optimizer.learning_rate": 1e-06,
    "optimizer.weight_decay": 0.01,
  },
  small={
    "aepo.target_entropy": 0.5,
    "aepo.temperature_low": 0.7,
    "aepo.temperature_high": 1.6,
    "aepo.per_prompt": 8,
    "aepo.prompt_fraction": 1.0,
    "aepo.rows": 204,
    "aepo.cool_divisor": 1,
    "aepo.positive_rule": "reward",
    "aepo.entropy_estimator": "full_vocab",
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
