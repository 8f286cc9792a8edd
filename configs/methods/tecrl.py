r"""GRPO with a budget for the entropy along a response.

Paper:     Mind Your Entropy (TECRL), arXiv 2511.11592.
Command:   python -m experiments.train \
               --config=configs/methods/tecrl.py:runlocal \
               --workdir=runs/tecrl
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: continuous control only; for tokens a discount of 0.99, a budget of
           half the first entropy, a rate of 0.01, coefficients from 1e-3 up to
           0.05 and the learning rate of 1e-6 are our choice.
Expect:    once the entropy has fallen below half of its start the coefficient
           climbs, and the entropy comes back to about that half or a little
           above, 0.5 to 0.55 nats, where GRPO goes on falling.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="tecrl",
  chain=("grpo", "tecrl"),
  published={
    "tecrl.gamma": 0.99,
    "tecrl.share": 0.5,
    "tecrl.rate": 0.01,
    "tecrl.coef_initial": 1e-3,
    "tecrl.coef_max": 0.05,
    "optimizer.learning_rate": 1e-06,
  },
  small={
    "tecrl.rate": 1.0,
    "tecrl.coef_initial": 5e-3,
    # Without a floor it falls so far at first that it comes back too late.
    "tecrl.coef_min": 5e-3,
    "tecrl.coef_max": 0.1,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
