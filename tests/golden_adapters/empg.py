"""Reference vectors of the EMPG port in WillDreamer/ARLArena."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.empg import ENTROPY, empg, modulation


def check_empg(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case; its rows are steps, ours hold whole trajectories."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  inputs, out = case.inputs, case.out
  epsilon = case.hp["norm_eps"]
  assert epsilon == case.hp["scale_eps"], where
  numbers = (case.hp["k"], case.hp["k_f"], case.hp["zeta"], epsilon)
  mask = inputs["mask"] > 0
  tokens = np.maximum(mask.sum(axis=1), 1)
  found = jax.jit(modulation)(
    inputs["advantages"][:, 0],
    (inputs["old_entropy"] * mask).sum(axis=1) / tokens,
    _following(inputs["traj"], inputs["turn"]),
    np.ones(len(mask), bool),
    *numbers,
  )
  assert_close(f"{where}: f_bonus", found.clarity[:, None], out["f_bonus"])
  got = inputs["advantages"] * found.scale[:, None] + found.shift[:, None]
  assert_close(f"{where}: of steps", got * mask, out["advantages"])
  # A step without tokens has no place in a row.
  if mask.any(axis=1).all():
    got = _of_rows(empg(*numbers), inputs)
    assert_close(f"{where}: advantages", got, out["advantages"])
  common.assert_covered(where, case, {"f_bonus", "advantages"}, ())


def _following(traj: np.ndarray, turn: np.ndarray) -> np.ndarray:
  place = {key: i for i, key in enumerate(zip(traj, turn))}
  return np.array(
    [place.get((t, number + 1), -1) for t, number in zip(traj, turn)]
  )


def _of_rows(method, inputs) -> np.ndarray:
  """The method's advantages of trajectories, as rows of steps again."""
  mask = inputs["mask"] > 0
  rows = np.unique(inputs["traj"], return_inverse=True)[1]
  shape = (rows.max() + 1, int(np.bincount(rows, mask.sum(axis=1)).max()))
  fields = {
    k: np.zeros(shape, np.float32)
    for k in ("old_entropy", "advantages", "turn", "mask")
  }
  where, used = {}, np.zeros(len(fields["mask"]), int)
  for step in np.argsort(inputs["turn"], kind="stable"):
    row, size = rows[step], mask[step].sum()
    where[step] = row, slice(used[row], used[row] + size)
    used[row] += size
    fields["mask"][where[step]] = 1
    fields["turn"][where[step]] = inputs["turn"][step]
    for key in ("old_entropy", "advantages"):
      fields[key][where[step]] = inputs[key][step][mask[step]]
  rollout = common.batch(
    np.zeros(shape),
    fields["advantages"],
    fields["mask"],
    turn=fields["turn"],
    stats={ENTROPY.key: fields["old_entropy"]},
  )
  prepare = jax.jit(lambda batch: common.prepared(method, batch))
  found = np.asarray(prepare(rollout).advantages)
  got = np.zeros(mask.shape, np.float32)
  for step, place in where.items():
    got[step][mask[step]] = found[place]
  return got
