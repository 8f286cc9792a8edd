r"""DAPO, with responses that lose reward before the length limit.

Paper:     DAPO: An Open-Source LLM Reinforcement Learning System at Scale,
           arXiv 2503.14476.
Command:   python -m experiments.train \
               --config=configs/methods/overlong_shaping.py:runlocal \
               --workdir=runs/overlong_shaping
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: Qwen2.5-32B, limit 20480 with a buffer of 4096 tokens, bounds 0.2 and
           0.28, dual clip 10 (code), 512 prompts with 16 responses, 16 updates,
           learning rate 1e-6 after 20 steps of warm-up. Rewards there are +1
           and -1, here 1 and 0, so the punishment of 1 is halved.
Expect:    responses shorten from 6.0 to 5.4 tokens and lose less reward; only
           few answers are that short, and the entropy falls to 0.03 or 0.04
           nats.
"""

from ml_collections import ConfigDict

from configs import recipe
from configs.methods import group_filter

# Both are parts of DAPO and are published with it.
RECIPE = group_filter.RECIPE._replace(
  name="overlong_shaping",
  # Of 7 tokens the last 4; right answers of any length stay above wrong ones.
  small={
    "ppo_clip.high": 0.28,
    "overlong_shaping.buffer": 4,
    "overlong_shaping.factor": 0.5,
  },
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
