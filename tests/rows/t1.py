"""The pieces of T1: selection, penalties, a moving anchor, rewards."""

from rows.row import Row

ROWS = (
  Row("t1", {"train": 2, "select": "balanced"}, {"select": "all"}),
  Row("t1", {"train": 3, "select": "random"}),
  Row("t1", {}),
  Row(
    "malformed_penalty",
    {"ngram": 1, "most": 2},
    {"cut": 0.0, "repeated": 0.0},
  ),
  Row("malformed_penalty", {"cut": 0.0, "repeated": 0.5, "ngram": 1}),
  Row("kl_penalty", {"coef": 0.5, "anchor": "ema"}),
  Row(
    "kl_penalty",
    {"coef": 0.5, "anchor": "ema", "target": 0.01, "horizon": 100.0},
    {"coef": 0.0, "anchor": "ema", "target": 0.01},
  ),
  Row("kl_reward", {"coef": 0.1}, {"coef": 0.0}),
  Row("kl_reward", {"coef": 0.1, "anchor": "ema"}),
  Row("entropy_reward", {"coef": 0.1}, {"coef": 0.0}),
)
