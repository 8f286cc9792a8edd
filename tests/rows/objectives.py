"""Advantages of sets and signs, shaped rewards, group objectives, filters."""

from rows.row import Row

ROWS = (
  Row(
    "positive_negative_reinforcement", {"positive_weight": 0.1, "gamma": 0.9}
  ),
  Row("positive_negative_reinforcement", {"mode": "negative"}),
  Row("positive_negative_reinforcement", {"mode": "positive"}),
  Row("passk_training", {"k": 2}),
  Row("passk_training", {"k": 2, "variant": "full"}, row_order=True),
  Row(
    "passk_training",
    {"k": 2, "variant": "bootstrap", "draws": 3},
    row_order=True,
  ),
  Row("grpo_passk", {}),
  Row("unlikeliness", {"discount": 0.5}, {"discount": 0.0}),
  Row("unlikeliness", {"skip_all_correct": True}),
  Row("disco", {"tau": 1.0, "beta": 10.0}),
  Row(
    "disco",
    {"form": "disco_b", "score": "ratio", "beta": 10.0, "estimator": "k3"},
  ),
  Row("drpo", {"tau": 1.0, "beta": 10.0}),
  Row(
    "drpo",
    {
      "length_scale": 1.0,
      "max_length": 10,
      "score": "ratio",
      "tau": 1.0,
      "beta": 10.0,
      "estimator": "k3",
      "value": "code",
    },
  ),
  Row(
    "overlong_shaping",
    {"buffer": 4, "factor": 0.5},
    {"buffer": 4, "factor": 0.0},
  ),
  Row("overlong_shaping", {"mode": "mask", "max_length": 5}),
  Row("group_filter", {}),
  Row("group_filter", {"metric": "reward"}),
  Row("rollout_correction", {"high": 1.5}, {"level": None}),
  Row(
    "rollout_correction",
    {
      "level": "sequence",
      "mode": "mask",
      "low": 0.5,
      "high": 3.0,
      "batch_normalize": True,
      "max_log_ratio": None,
      "rejection": "token_k1, seq_max_k3",
      "rejection_thresholds": "0.5_2, 0.3",
      "sequence_mask_delta": 0.0,
    },
  ),
)
