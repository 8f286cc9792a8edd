"""Methods that move clip bounds, or weigh tokens by what they do to entropy."""

from rows.row import Row

ROWS = (
  Row(
    "bapo",
    {},
    {"target": 0.0, "low_start": 0.8, "high_start": 1.2},
  ),
  Row(
    "bapo",
    {
      "target": 0.9,
      "order": "low_first",
      "statistic": "ratio",
      "at_limit": "stop",
      "dual": 3.0,
    },
  ),
  Row("bapo", {"target": 0.6, "statistic": "active"}),
  Row("entropy_dynamics_rft", {"mu": 0.5}, {"mu": float("inf")}),
  Row(
    "entropy_dynamics_rft",
    {
      "variant": "clip_v",
      "mu": 0.3,
      "max_fraction": 0.1,
      "sign": "all",
      "two_sided": True,
      "logp": "sample",
    },
    {"variant": "clip_v", "mu": float("inf"), "skip_zero_advantage": True},
  ),
  Row("revisiting_entropy", {"initial": 0.3}),
  Row(
    "revisiting_entropy",
    {"schedule": "stage", "steps": 4},
    {"schedule": "constant", "weight": 1.0},
  ),
  Row(
    "revisiting_entropy",
    {"schedule": "epoch", "negative_weight": 0.5, "random_clip": 0.3},
  ),
  Row(
    "gradient_preserving_clip",
    {"steps": 4},
    {
      "high_slope": 0.0,
      "high_intercept": 0.2,
      "low_slope": 0.0,
      "low_intercept": 0.2,
    },
  ),
  Row("gradient_preserving_clip", {"strategy": "od", "probability": "old"}),
  Row("gradient_preserving_clip", {"strategy": "did", "steps": 1}),
  Row("action_redundancy", {"coef": 0.5, "gate": "all"}, {"coef": 0.0}),
  Row("action_redundancy", {"gate": "wrong", "estimator": "plug_in"}),
  Row(
    "hapo",
    {},
    {
      "average": False,
      "dual": None,
      "alpha": 0.0,
      "beta": 0.0,
      "tau": 0.0,
      "low": 0.2,
      "high": 0.2,
    },
  ),
  Row(
    "hapo",
    {
      "temperature": False,
      "average": False,
      "bounds": False,
      "pivot": 0.5,
      "sign": "code",
      "scope_rows": 5,
      "dual": None,
    },
    row_order=True,
  ),
  Row(
    "hapo",
    {"redistribution": False, "bounds": False, "fallback": 1.2, "dual": 3.0},
  ),
  Row("agentic_aepo", {}, {"clipping": False, "advantages": False}),
  Row(
    "agentic_aepo",
    {"high": 0.0, "dual": None, "coef": 1.0, "limit": 0.5, "scope_rows": 5},
    row_order=True,
  ),
  Row(
    "agentic_aepo",
    {"clipping": False, "coef": 2.0},
    {"clipping": False, "coef": 0.0},
  ),
  Row("agentic_aepo", {"advantages": False, "dual": 1.5}),
  Row("agentic_aepo", {"branches": 3, "slope": 2.0}),
  Row("agentic_aepo", {"branches": 1, "dynamic": False, "mode": "code"}),
)
