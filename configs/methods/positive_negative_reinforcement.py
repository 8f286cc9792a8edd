r"""Right answers at a tenth of the weight of wrong ones (W-REINFORCE).

Paper:     The Surprising Effectiveness of Negative Reinforcement in LLM
           Reasoning, arXiv 2506.01347.
Command:   python -m experiments.train \
      --config=configs/methods/positive_negative_reinforcement.py:runlocal \
               --workdir=runs/positive_negative_reinforcement
Hardware:  2 CPU cores
Time:      3 minutes, 2 of them for the warm start
Published: weight 0.1, 1024 prompts with 8 responses of up to 4096 tokens, 4
           updates of 256 prompts, temperature 1, bounds 0.2, learning rate
           1e-6. The entropy bonus of the paper, 1e-4 (0.001 in a script), is
           left out: put `entropy_bonus` behind it for that.
Expect:    runlocal loses pass@1 at first, half of it in one run and little in
           another, as little of what is learnt is right, then comes back to
           that of GRPO; entropy between 0.2 and 0.3 nats where GRPO has 0.1 or
           less, twice as many distinct right answers.
"""

from ml_collections import ConfigDict

from configs import recipe

RECIPE = recipe.Recipe(
  name="positive_negative_reinforcement",
  chain=("positive_negative_reinforcement",),
  published={
    "positive_negative_reinforcement.mode": "weighted",
    "positive_negative_reinforcement.positive_weight": 0.1,
    "loss.clip_low": 0.2,
    "loss.clip_high": 0.2,
    "rollout.prompts": 1024,
    "rollout.per_prompt": 8,
    "rollout.max_response": 4096,
    "train.updates": 4,
    "optimizer.learning_rate": 1e-06,
  },
  small={},
)


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `recipe.config`."""
  return recipe.config(RECIPE, arg)
