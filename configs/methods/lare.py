r"""RLOO whose reward a small decoder moves to the tokens that earned it.

Paper:     Latent Reward: LLM-Empowered Credit Assignment in Episodic
           Reinforcement Learning (LaRe), arXiv 2412.11120.
Command:   python -m experiments.train \
               --config=configs/methods/lare.py:runlocal \
               --workdir=runs/lare
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: on MuJoCo, 64 drawn steps of each episode, less the bias of their
           variance, and a decoder of 3 layers of 256 units learnt at 3e-4.
           The features of text, half of the reward left at the end, and the
           learning rate of 1e-6 of the policy are our choice.
Expect:    no gain over RLOO: responses are too short to credit parts of them.
           On the sum task (:runlocal,task=sum) the reward goes from 0.71 to
           0.97, lare/explained from 0.2 to 0.8, pass@1 on unseen problems from
           0.70 after the first step to 0.89 after 100 (three seeds, as with
           RLOO).
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="lare",
  chain=("lare",),
  published={
    "lare.loss": "rrd_unbiased",
    "lare.subset": 64,
    "lare.layers": 3,
    "lare.width": 256,
    "lare.rate": 3e-4,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
