"""The rest of the GRPO family: advantages and policy losses."""

from rows.row import Row

ROWS = (
  Row("grpo", {"floor": 0.45}),
  Row("gspo", {"low": 0.05, "high": 0.05}),
  Row("gspo", {"low": 0.05, "high": 0.05, "form": "sequence"}),
  Row("gmpo", {"low": 0.2, "high": 0.2}),
  Row("gmpo", {"low": 0.2, "high": 0.2, "weighting": "geometric"}),
  Row("cispo", {"low": 0.2, "high": 0.2}),
  Row("sapo", {}),
  Row("gpg", {"divisor": 2.0}),
  Row("reinforce", {}),
  Row("opo", {}),
  Row("remax", {}),
  Row("gae", {"gamma": 0.99, "decay": 0.95, "features": 5}),
  Row("optimal_token_baseline", {}),
  Row("optimal_token_baseline", {"zero_tail": True}),
  Row(
    "kl_penalty",
    {"coef": 0.5, "target": 0.01, "horizon": 100.0},
    {"coef": 0.0, "target": 0.01},
  ),
)
