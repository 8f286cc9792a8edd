r"""GRPO with weights for what the sampler draws from another policy.

Paper:     Your Efficient RL Framework Secretly Brings You Off-Policy RL
           Training, 2025 (no arXiv number); verl, rollout_corr_helper.py.
Command:   python -m experiments.train \
               --config=configs/methods/rollout_correction.py:runlocal \
               --workdir=runs/rollout_correction
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: weights per token up to 2 (verl; 3 in TRL); log-probs of the rollout
           are computed by the trainer, as there. The learning rate of 1e-6 is
           our choice.
Expect:    no ratio reaches 2 and the mean weight stays at 1 to 0.01; entropy
           ends between 0.25 and 0.34 nats, that of GRPO at the same sampling
           temperature (one run) at 0.06.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="rollout_correction",
  chain=("rollout_correction", "grpo"),
  published={
    "rollout_correction.level": "token",
    "rollout_correction.high": 2.0,
    "rollout.old_logp": "score",
    "optimizer.learning_rate": 1e-06,
  },
  # Sampler and trainer are one program here: the temperature sets them apart.
  small={
    "rollout.temperature": 1.3,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
