"""Methods whose responses branch."""

from rows.row import Row

ROWS = (
  Row("cure", {"branches": 1, "candidates": 2}, {"branches": 0}),
  Row("cure", {"mode": "random", "include_critical_token": True}),
  Row("cure", {"branches": 1, "prefix_loss": True, "max_prompt": 5}),
  Row("arpo", {"attribution": "hard"}, {"branches": 0}),
  Row("arpo", {"branches": 2, "mode": "code", "beam": 3}),
  Row("arpo", {"measured": "behind", "weight": 0.0}),
)
