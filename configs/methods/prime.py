r"""Token rewards of a second policy that is trained on the outcomes.

Paper:     Process Reinforcement through Implicit Rewards (PRIME), arXiv
           2502.01456.
Command:   python -m experiments.train \
               --config=configs/methods/prime.py:runlocal \
               --workdir=runs/prime
Hardware:  2 CPU cores
Time:      4 minutes, 2 of them for the warm start
Published: Eurus-2-7B: beta 0.05, the model of rewards learns at 1e-6 with
           gradients up to 10 from groups of accuracy 0.2 to 0.8, 256 prompts
           with 4 responses in one update, policy at 5e-7, prompts up to 1024
           and responses up to 3072 tokens, no KL term. Left out: prompts
           sampled in place of those outside the range.
Expect:    on `task=sum` pass@1 rises from 0.75 to 0.89 (three seeds, as with
           RLOO) and the training reward from 0.71 to 0.96, entropy falls from
           0.28 nats to 0.03. learner/loss
           falls from log 2 to 0.62, prime/sign_accuracy rises to 0.98, and
           prime/pair_accuracy lies about 0.55: groups of equal rewards count as
           0.5, and most are. With the published range of accuracies the model
           of rewards sees 5 to 20 % of the rows here, its loss stays at log 2,
           and pass@1 ends at 0.88 all the same.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="prime",
  chain=("prime",),
  published={
    "prime.beta": 0.05,
    "prime.rate": 1e-06,
    "prime.max_gradient_norm": 10.0,
    "prime.accuracy_low": 0.2,
    "prime.accuracy_high": 0.8,
    "rollout.prompts": 256,
    "rollout.per_prompt": 4,
    "rollout.max_prompt": 1024,
    "rollout.max_response": 3072,
    "train.updates": 1,
    "optimizer.learning_rate": 5e-07,
  },
  # Responses are short, so a logit of a few needs a large beta; few groups are
  # neither nearly all right nor nearly all wrong.
  small={
    "prime.beta": 0.5,
    "prime.rate": 5e-4,
    "prime.accuracy_low": 0.0,
    "prime.accuracy_high": 1.0,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
