r"""GRPO with an entropy bonus and a corridor around past entropies.

Paper:     EPO: Entropy-regularized Policy Optimization for LLM Agents, arXiv
           2509.22576.
Command:   python -m experiments.train \
               --config=configs/methods/epo.py:runlocal \
               --workdir=runs/epo
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: ALFWorld, Qwen2.5-3B-Instruct: coefficient 0.001, corridor up to
           twice the mean, penalty 0.1, 150 steps, 16 tasks with 8 responses,
           learning rate 5e-6 with a tenth of the steps for warm-up, divergence
           from the reference 0.01, prompts up to 2048 and responses up to 512
           tokens, means over the tokens of each response first. Its minibatch
           of 256 turns is more than the 128 responses here: one update. Left
           out: the cosine decay to a fifth of the learning rate (the decay here
           is linear, and off), and the penalty on invalid actions.
Expect:    the entropy settles between 0.2 and 0.4 nats; single tokens are
           either certain or open, so nearly all lie outside the corridor around
           the mean.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="epo",
  chain=("grpo", "kl_penalty", "epo"),
  published={
    "steps": 150,
    "epo.coef": 0.001,
    "epo.penalty": 0.1,
    "epo.low": 0.0,
    "epo.high": 2.0,
    "epo.gamma": 3.0,
    "kl_penalty.coef": 0.01,
    "loss.aggregation": "seq-mean-token-mean",
    "rollout.prompts": 16,
    "rollout.per_prompt": 8,
    "rollout.max_prompt": 2048,
    "rollout.max_response": 512,
    "train.updates": 1,
    "optimizer.learning_rate": 5e-06,
    "optimizer.warmup": 15,
  },
  small={
    "epo.coef": 0.02,
    "epo.low": 0.5,
    "epo.high": 1.5,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
