"""The settings that claims share: small, and large enough for the effects."""

from experiments.claiming.record import Arm, Base

# A decoder of two layers on `split`, the task with many right answers, with
# half the prompts of the quickstart. It begins at a pass@1 of 0.6 and 0.95 nats
# (with targets up to 199 it would take twice the warm start).
SPLIT = Base(
  "split",
  "split",
  {
    "task.options.largest": 99,
    "model.layers": 2,
    "warm_start.steps": 1200,
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
