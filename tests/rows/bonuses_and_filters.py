"""Bonuses for what is new, and filters of what is known."""

from rows.row import Row

ROWS = (
  Row(
    "exploration_bonuses",
    {"coef": 0.5, "size": 4, "slots": 8},
    {"coef": 0.0},
  ),
  Row(
    "exploration_bonuses",
    {
      "coef": 0.5,
      "global_bonus": "noveld",
      "combine": "add",
      "episode": "response",
      "every": 2,
      "size": 4,
      "covariance": "including",
      "rate": 0.01,
      "norm": "steps",
      "gate": "all",
      "target": "advantage",
    },
  ),
  Row(
    "open_set_tta",
    {
      "entropy_high": 1.2,
      "entropy_coef": 0.1,
      "on_drop": "maximise_entropy",
      "drop_coef": 0.2,
      "slots": 8,
    },
    {"rule": "all"},
  ),
  Row("open_set_tta", {"rule": "likelihood"}),
)
