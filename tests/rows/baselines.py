"""The methods that everything is compared with, and the first few others."""

from rows.row import Row

ROWS = (
  Row("grpo", {}),
  Row("grpo", {"normalize": "batch", "epsilon": 1e-4}),
  Row("dr_grpo", {}),
  Row("rloo", {"singleton": "zero"}),
  Row("reinforce_plus_plus", {"gamma": 0.9}),
  Row("reinforce_plus_plus", {"baseline": True}),
  Row("ppo_clip", {"low": 0.1, "high": 0.28}, {"low": 0.2, "high": 0.2}),
  Row("ppo_clip", {"dual": 1.5, "max_log_ratio": 10.0}),
  Row("kl_penalty", {"coef": 0.5, "estimator": "k3"}, {"coef": 0.0}),
  Row("kl_penalty", {"coef": 0.5, "estimator": "k1+"}),
  Row("entropy_bonus", {"coef": 0.1}, {"coef": 0.0}),
  Row("entropy_bonus", {"adaptive": "trl", "coef_initial": 1e-3}),
  Row("entropy_bonus", {"adaptive": "skywork", "coef_initial": 1e-3}),
  Row(
    "clip_cov",
    {"fraction": 0.1, "low": 0.0, "high": 5.0},
    {"low": 1.0, "high": 1.0},
  ),
  Row("kl_cov", {"fraction": 0.1}, {"coef": 0.0, "clip": True}),
  Row(
    "kl_cov",
    {"fraction": 0.1, "penalty": "k3", "clip": True, "scope_rows": 5},
    row_order=True,
  ),
  Row("steer", {}, {"w_min": 1.0}),
  Row(
    "steer",
    {
      "form": "theorem",
      "mode": "asymmetric",
      "w_max": 1.2,
      "normalizer": "quantile",
      "scope_rows": 7,
    },
    row_order=True,
  ),
  Row("steer", {"form": "exact", "mapping": "linear"}),
  Row(
    "aepo",
    {"target_entropy": 1.0, "rows": 4, "per_prompt": 4},
    row_order=True,
  ),
  Row(
    "aepo",
    {"target_entropy": 1.0, "rows": 3, "per_prompt": 4, "mode": "add"},
    row_order=True,
  ),
  Row("dcpo", {"target_entropy": 1.0}, {"target_entropy": 1.0, "cap": 0.0}),
)
