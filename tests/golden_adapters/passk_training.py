"""Reference vectors of Passk_Training's advantages."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.passk_training import passk_training


def check_passk_training(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    inputs, hp = case.inputs, case.hp
    method = passk_training(k=hp["k"], epsilon=hp["eps"])
    rollout = common.batch(
      np.zeros(inputs["mask"].shape),
      None,
      inputs["mask"],
      reward=inputs["seq_reward"],
      group=inputs["group"],
    )
    got = {
      "advantages": _advantages(method, rollout),
      "table_pos_neg": _table(method, hp["n"]),
    }
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _advantages(method, rollout):
  run = jax.jit(lambda batch: common.prepared(method, batch).advantages)
  return run(rollout)


def _table(method, n):
  """Advantages of right and of wrong answers by how many of n are right."""
  group, place = np.divmod(np.arange(n * (n + 1)), n)
  right = place < group  # as many right answers as the group has a number
  ones = np.ones((right.size, 1))
  rollout = common.batch(0 * ones, None, ones, reward=right, group=group)
  found = np.asarray(_advantages(method, rollout)).reshape(n + 1, n)
  table = np.stack([found[:, 0], found[:, -1]], axis=1)
  table[[0, n]] = np.nan  # one kind is missing; the code has no number there
  return table
