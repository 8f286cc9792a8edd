"""The three methods of Light-IF."""

from rows.row import Row

ROWS = (
  Row("tea_rl", {"alpha": 2.0, "bound": 0.5}, {"alpha": 0.0}),
  # Blocks are of consecutive rows.
  Row(
    "tea_rl",
    {"alpha": 2.0, "detach_weight": True, "scope_rows": 5},
    row_order=True,
  ),
  # Tokens after the same token tie, as the policy is a table of pairs.
  Row("entropy_sft", {"fraction": 0.6}, row_order=True),
  Row(
    "entropy_sft",
    {"fraction": 0.3, "coef": 0.0, "num_items": 100, "scope_rows": 7},
    row_order=True,
  ),
  Row("length_reward", {"threshold": 0.5}, {"coef": 0.0}),
)
