"""Reference vectors of DAPO's policy loss."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.grpo_family import check_policy_loss

# Soft overlong punishment and the filter of groups do not exist here yet.
PENDING = frozenset(
  {
    "token_level_reward",
    "overlong_reward",
    "kept_traj",
    "num_kept_prompts",
  }
)
CHECKED = frozenset(
  {"loss", "grad_log_prob", "pg_clipfrac", "pg_clipfrac_lower", "ppo_kl"}
)


def check_dapo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every policy-loss case found in `vectors`."""
  count = 0
  for number, case in common.cases(vectors):
    where, count = f"case{number}", count + 1
    if "log_prob" in case.inputs:
      check_policy_loss(where, case)
      common.assert_covered(where, case, CHECKED, ())
    else:
      common.assert_covered(where, case, (), PENDING)
  assert count, sorted(vectors)
