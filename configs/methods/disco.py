r"""Right answers against the best wrong ones, in place of advantages.

Paper:     DisCO: Reinforcing Large Reasoning Models with Discriminative
           Constrained Optimization, arXiv 2505.12366.
Command:   python -m experiments.train \
               --config=configs/methods/disco.py:runlocal \
               --workdir=runs/disco
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: DeepSeek-R1-Distill-Qwen-1.5B, tau 10, beta 1e3, delta 1e-4, 128
           prompts with 8 responses at temperature 0.6 and up to 8192 tokens, 4
           updates of 32 prompts, learning rate 2e-6 (1e-6 for 7B).
Expect:    pass@1 rises as with GRPO, entropy ends between 0.35 and 0.44 nats
           where GRPO has 0.1 or less, pass@16 ends at 1.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="disco",
  chain=("disco",),
  published={
    "disco.tau": 10.0,
    "disco.beta": 1000.0,
    "disco.delta": 0.0001,
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "rollout.max_response": 8192,
    "rollout.temperature": 0.6,
    "rollout.score_temperature": 0.6,
    "train.updates": 4,
    "optimizer.learning_rate": 2e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
