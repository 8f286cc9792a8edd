"""Masks by entropy, entropy terms, and a divergence from a filtered policy."""

from rows.row import Row

ROWS = (
  # Tokens after the same token tie, as the policy is a table of pairs.
  Row("forking_tokens", {}, {"fraction": 1.0}, row_order=True),
  Row(
    "forking_tokens",
    {
      "fraction": 0.3,
      "selection": "quantile",
      "denominator": "all",
      "population": "row",
      "strict": True,
      "entropy": "old",
    },
  ),
  # Blocks are of consecutive rows.
  Row(
    "forking_tokens",
    {"fraction": 0.8, "bottom": True, "rounding": "floor", "scope_rows": 7},
    row_order=True,
  ),
  Row("siren", {"coef": 1.0, "quantile": 0.5}, {"coef": 0.0}),
  # Blocks are of consecutive rows.
  Row(
    "siren",
    {
      "coef": 1.0,
      "top_p": 0.6,
      "nucleus": "inclusive",
      "anchor": 0.5,
      "scope_rows": 5,
    },
    row_order=True,
  ),
  # Tokens after the same token tie, as the policy is a table of pairs.
  Row(
    "lp_reg",
    {"negative_share": 0.9, "min_p": 0.08},
    {"negative_share": 0.0},
    row_order=True,
  ),
  Row(
    "lp_reg",
    {
      "negative_share": 0.6,
      "positive_share": 0.5,
      "kl_type": "full",
      "proxy": "ref",
      "population": "all",
    },
  ),
  Row(
    "lp_reg",
    {
      "negative_share": 0.6,
      "min_p": 0.05,
      "filter": "fixed",
      "soft": True,
      "kl_type": "full",
      "proxy": "current",
      "scope_rows": 7,
    },
    row_order=True,
  ),
  Row(
    "aer",
    {"coef_initial": 0.1, "difficulty": 1.0, "rate": 0.1},
    {"coef_initial": 0.0, "rate": 0.0},
  ),
  Row(
    "aer",
    {
      "coef_initial": 0.1,
      "difficulty": 0.8,
      "shape": "step",
      "rule": "exp",
      "coef_max": 0.2,
    },
  ),
  # The corridor acts from the first step on.
  Row(
    "epo",
    {
      "coef": 0.1,
      "low": 0.9,
      "high": 1.1,
      "penalty": 0.5,
      "include_current": True,
    },
    {"coef": 0.0},
  ),
  Row(
    "epo",
    {
      "coef": 0.1,
      "low": 0.9,
      "high": 1.1,
      "form": "indicator",
      "schedule": "code",
      "level": "row",
      "turns": 2,
      "include_current": True,
    },
  ),
  Row("cdpo", {"coef": 0.1}, {"coef": 0.0}),
  Row("cdpo", {"coef": 0.1, "normalize": True}),
)
