r"""GRPO on responses and on forks of them where a line was uncertain.

Paper:     Agentic Reinforced Policy Optimization, arXiv 2507.19849.
Command:   python -m experiments.train \
               --config=configs/methods/arpo.py:runlocal \
               --workdir=runs/arpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: 16 responses to a prompt, 8 of them begun at once, beam 2, chance 0.5
           and weight 0.2, bounds 0.2, dual clip 3, 128 prompts in updates of
           16, learning rate 1e-6, prompts up to 1536 and responses up to 4096
           tokens, 2 epochs (scripts for Qwen2.5-7B). Left out: tools. Its
           rewards are the style "arpo" of the task "files".
Expect:    not run by us yet. Answers are one line there, so that nothing forks
           and branches are new responses: GRPO with 8 of them.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="arpo",
  chain=("grpo", "arpo", "ppo_clip"),
  published={
    "arpo.branches": 1,
    "arpo.probability": 0.5,
    "arpo.weight": 0.2,
    "arpo.beam": 2,
    "ppo_clip.low": 0.2,
    "ppo_clip.high": 0.2,
    "ppo_clip.dual": 3.0,
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "rollout.temperature": 1.0,
    "rollout.max_prompt": 1536,
    "rollout.max_response": 4096,
    "loss.aggregation": "token-mean",
    "train.updates": 8,
    "optimizer.learning_rate": 1e-06,
  },
  small={"rollout.per_prompt": 4, "ppo_clip.dual": 3.0},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
