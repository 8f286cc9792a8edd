"""Reference vectors of the unlikeliness reward with GRPO behind it."""

import functools
from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods, transform


def check_unlikeliness(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    inputs, hp = case.inputs, case.hp
    method = transform.chain(
      methods.make("unlikeliness", discount=hp["beta_rank"]),
      methods.make("grpo", epsilon=hp["std_eps"]),
    )
    rollout = common.batch(
      inputs["old_log_prob"],
      None,
      inputs["mask"],
      reward=inputs["seq_reward"],
      group=inputs["group"],
    )
    run = jax.jit(functools.partial(common.prepared, method))
    got = run(rollout).advantages
    assert_close(f"case{number}: advantages", got, case.out["advantages"])
    common.assert_covered(f"case{number}", case, {"advantages"}, ())
