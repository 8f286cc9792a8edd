r"""GRPO with a penalty on the tokens of highest covariance.

Paper:     The Entropy Mechanism of RL (KL-Cov), arXiv 2505.22617.
Command:   python -m experiments.train \
               --config=configs/methods/kl_cov.py:runlocal \
               --workdir=runs/kl_cov
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-7B and 32B on DAPO-Math, 2e-3 (7B) or 2e-4 (32B) of the
           tokens, coefficient 1, 256 prompts with 8 responses, 8 updates,
           learning rate 5e-7 (7B; 1e-6 for 32B), no weight decay.
Expect:    with 2e-3 of so few tokens one or two a minibatch are pulled back,
           and nothing is held: the entropy falls as with GRPO, or deeper.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="kl_cov",
  chain=("grpo", "kl_cov"),
  published={
    "kl_cov.fraction": 0.002,
    "kl_cov.coef": 1.0,
    "rollout.prompts": 256,
    "rollout.per_prompt": 8,
    "train.updates": 8,
    "optimizer.learning_rate": 5e-07,
    "optimizer.warmup": 0,
    "optimizer.weight_decay": 0.0,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
