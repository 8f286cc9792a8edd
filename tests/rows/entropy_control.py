"""Methods that hold the entropy by a bonus, a schedule or a controller."""

from rows.row import Row

ROWS = (
  Row("entropy_advantage", {"coef": 0.4, "kappa": 1.5}, {"coef": 0.0}),
  Row("entropy_advantage", {"coef": 0.1, "kappa": 1.0, "entropy": "old"}),
  Row(
    "entropy_bonus",
    {"adaptive": "integral", "rate": 0.01, "coef_initial": 1e-3},
    {"adaptive": "integral", "rate": 0.0},
  ),
  Row(
    "integral_clip",
    {"target_entropy": 2.5, "rate": 0.1},
    {"rate": 0.0, "initial": 0.2},
  ),
  Row("aent", {"coef": 0.1, "share": 0.3}, {"coef": 0.0}),
  Row(
    "tecrl",
    {"gamma": 0.9, "coef_initial": 0.05, "coef_max": 0.1},
    {"coef_initial": 0.0, "coef_max": 0.0},
  ),
  Row(
    "tecrl",
    {
      "coef_initial": 0.05,
      "target_entropy": 1.0,
      "per_token": False,
      "normalize": True,
      "clip": True,
    },
  ),
  Row("entropy_annealing", {"coef": 0.1}, {"coef": 0.0}),
  Row(
    "entropy_annealing",
    {"form": "kl", "coef": 0.1},
    {"form": "kl", "coef": 0.0},
  ),
  Row("entropy_annealing", {"form": "sequence", "coef": 0.1, "power": 0.5}),
  Row(
    "state_entropy_reg",
    {"neighbour": 1, "coef_start": 0.5, "size": 4},
    {"coef_start": 0.0, "coef_end": 0.0},
  ),
  Row(
    "state_entropy_reg",
    {
      "granularity": "chunk",
      "population": "batch",
      "gate": "all",
      "chunk": 4,
      "coef_start": 0.5,
      "discount": 0.5,
      "mean_distance": True,
    },
  ),
  Row("state_entropy_reg", {"granularity": "last", "neighbour": 2}),
  Row(
    "one_shot_rlvr",
    {"policy_coef": 0.5, "entropy_coef": 0.1, "kl_coef": 0.1},
    {"policy_coef": 1.0, "entropy_coef": 0.0, "kl_coef": 0.0},
  ),
  Row("one_shot_rlvr", {"entropy_coef": 0.1, "kl_coef": 0.0}),
)
