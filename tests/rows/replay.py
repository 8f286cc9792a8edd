"""SPEAR's parts: replay, masks of responses, and its reward for tool calls."""

from rows.row import Row

ROWS = (
  Row(
    "spear",
    # Few enough groups to be full at once, and to be forgotten soon.
    {"rows": 8, "full": 0.5, "capacity": 24, "history": 6, "steps": 2},
    {"rows": 0},
  ),
  Row(
    "spear",
    {
      "rows": 8,
      "full": 0.0,
      "max_age": 1,
      "normalize": True,
      "decay": 0.9,
      "fraction": 0.0,
    },
  ),
  Row("dr_bot", {"gram": 1, "repeats": 2, "share": 0.5}, row_order=True),
  Row(
    "dr_bot",
    {"incomplete": False, "gram": 0, "unreadable": False, "max_length": 4},
  ),
  Row(
    "tool_reward",
    {"count": "turns", "steps": 2},
    {"cap": 0.0},
  ),
  Row("tool_reward", {"right": "any", "schedule": "constant"}),
)
