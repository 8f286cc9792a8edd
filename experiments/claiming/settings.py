"""The settings that claims share: small, and large enough for the effects."""

from experiments.claiming.record import Arm, Base

# A decoder of two layers on `split`, the task with many right answers: half
# the model and half the prompts of the quickstart.
SPLIT = Base(
  "split",
  "split",
  {
    "model.layers": 2,
    "warm_start.steps": 600,
    "steps": 100,
    "rollout.prompts": 32,
    "rollout.mismatch_every": 0,
    "evaluation.every": 50,
    "checkpoint.every": 25,
    "progress": False,
  },
)
# The same on `sum`, where one answer is right.
SUM = SPLIT._replace(name="sum", task="sum")

GRPO = Arm(("grpo",))
