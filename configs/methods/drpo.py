r"""DisCO in which short right answers weigh more.

Paper:     DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization,
           arXiv 2510.04474.
Command:   python -m experiments.train \
               --config=configs/methods/drpo.py:runlocal \
               --workdir=runs/drpo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: DeepSeek-R1-Distill-Qwen-1.5B, lambda 0.1, tau 10, beta 1e3, delta
           1e-4, 128 prompts with 8 responses at temperature 0.6 and up to
           8192 tokens, 4 updates of 32 prompts, learning rate 2e-6 (1e-6 for
           7B).
Expect:    responses shorten from 6.0 to 5.5 tokens where those of GRPO and
           DisCO grow; pass@1 rises as with GRPO, entropy ends at 0.4 nats where
           GRPO has 0.1 or less.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="drpo",
  chain=("drpo",),
  published={
    "drpo.length_scale": 0.1,
    "drpo.tau": 10.0,
    "drpo.beta": 1000.0,
    "drpo.delta": 0.0001,
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
