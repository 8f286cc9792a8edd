"""Methods that make or reshape advantages, or vote on rewards."""

from rows.row import Row

ROWS = (
  Row("canon", {"mix": 0.8, "scale": 0.9}),
  Row(
    "canon",
    {"metric": "length", "schedule": "anneal", "offset": 0.1},
    row_order=True,
  ),
  Row("canon", {"schedule": "cosine_r", "scale_side": "high"}),
  Row("empg", {"bonus": 0.3}),
  Row("hicra", {}, {"coef": 0.0}),
  Row("hicra", {"proxy_rows": "right_long", "proxy_fraction": 0.5}),
  Row("seed_grpo", {}, {"coef": 0.0}),
  Row(
    "seed_grpo",
    {"mass": "logprob", "estimator": "mc", "shape": "focal"},
    {"shape": "focal", "mass": "logprob", "coef": 0.0},
  ),
  Row("ttrl", {}, row_order=True),
  Row("ttrl", {"train": 3}, row_order=True),
  Row("empo", {}),
  Row(
    "empo",
    {"reward": "majority", "no_answer": None, "outside": "zero", "train": 3},
    row_order=True,
  ),
  Row("pear", {"missing_tag": "paper", "min_reward": -1.0}),
  Row("ettrl_ear", {}),
  Row("ettrl_ear", {"form": "clip", "bound": 0.3}, {"form": "clip"}),
  Row("ettrl_etmr", {"forks": 1, "branches": 1}, {"branches": 0}),
  Row("ettrl_etmr", {"score": "surprisal", "gap": 1}, {"forks": 0}),
  Row("ettrl_etmr", {"forks": 3, "branches": 1, "prefix": "once"}),
  Row("lare", {"lam": 0.7, "width": 8, "rate": 0.01}),
  Row(
    "lare",
    {
      "lam": 1.0,
      "loss": "rrd_unbiased",
      "subset": 3,
      "target": "sum",
      "centre": "none",
      "granularity": "step",
      "features": "logp,ref_gap,raw",
      "size": 3,
      "width": 8,
      "layers": 2,
      "rate": 0.01,
      "weight_decay": 0.1,
      "buffer": 1,
      "baseline": "to_go",
      "whiten": True,
    },
  ),
  # H of three rows of four is 0.81 bits, so some of both losses is there.
  Row("copo", {"slope": 2.0, "threshold": 1.0}),
  Row(
    "copo",
    {"mode": "only_soft_with_coef", "unit": "nats", "reward_coef": True},
  ),
  Row("copo", {"mode": "soft_with_forced", "norm": "none", "dual": None}),
)
