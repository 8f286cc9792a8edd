"""Methods that train a model of rewards beside the policy."""

from rows.row import Row

ROWS = (
  Row("prime", {}),
  Row(
    "prime",
    {
      "loss": "dpo",
      "learn": "before",
      "reference": "policy",
      "accuracy_low": 0.0,
      "accuracy_high": 1.0,
      "scale": 0.05,
      "exclude_last_token": True,
      "process_coef": 5.0,
      "process_gamma": 0.9,
      "smoothing": 0.5,
      "end_at_reward": True,
    },
  ),
)
