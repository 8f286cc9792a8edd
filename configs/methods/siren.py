r"""Dr.GRPO with the entropy of peak tokens pulled to its first value.

Paper:     Rethinking Entropy Regularization in Large Reasoning Models (SIREN),
           arXiv 2509.25133.
Command:   python -m experiments.train \
               --config=configs/methods/siren.py:runlocal \
               --workdir=runs/siren
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-Math-7B: coefficient 0.005, nuclei of 0.8, the top fifth of
           each response, 128 prompts with 8 responses, 16 updates, learning
           rate 1e-6 with 5 warm-up steps, prompts up to 1024 and responses up
           to 3072 tokens; the scale is 64 rows times 3072 tokens.
Expect:    the nucleus entropy of the chosen tokens falls little from its anchor
           of 1.9 nats, the entropy settles between 0.60 and 0.65, and pass@16
           stays at 1; GRPO is at 0.1 nats or less by then.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="siren",
  chain=("dr_grpo", "ppo_clip", "siren"),
  published={
    "siren.coef": 0.005,
    "siren.top_p": 0.8,
    "siren.top_k": 10000,
    "siren.quantile": 0.8,
    "ppo_clip.dual": 3.0,
    "loss.aggregation": "seq-mean-token-sum-norm",
    "loss.scale": 196608.0,
    "rollout.prompts": 128,
    "rollout.per_prompt": 8,
    "rollout.max_prompt": 1024,
    "rollout.max_response": 3072,
    "train.updates": 16,
    "optimizer.learning_rate": 1e-06,
    "optimizer.warmup": 5,
    "optimizer.weight_decay": 0.1,
  },
  small={
    "siren.coef": 1.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
