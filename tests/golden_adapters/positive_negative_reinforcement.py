"""Reference vectors of RLVR-Decomposed's PSR, NSR and W-REINFORCE."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.positive_negative_reinforcement import (
  positive_negative_reinforcement,
)

VARIANTS = {
  "weighted": dict(mode="weighted"),
  "psr_all_rows": dict(mode="positive", denominator="all"),
  "nsr_all_rows": dict(mode="negative", denominator="all"),
  "psr_correct_rows": dict(mode="positive"),
  "nsr_incorrect_rows": dict(mode="negative"),
}


def check_positive_negative_reinforcement(
  vectors: Mapping[str, np.ndarray],
) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    got = _outputs(case)
    checked = {f"{k}_{name}" for name, found in got.items() for k in found}
    for name, found in got.items():
      _compare(f"case{number}: {name}", case, name, found)
    common.assert_covered(f"case{number}", case, checked, ())


def _outputs(case):
  """What each variant of the file gives, for all rows."""
  inputs, hp = case.inputs, case.hp
  make = lambda **choice: positive_negative_reinforcement(
    positive_weight=hp["positive_weight"], gamma=hp["gamma"], **choice
  )
  rollout = common.batch(
    inputs["old_log_prob"], None, inputs["mask"], reward=inputs["seq_reward"]
  )

  @jax.jit
  def run(rollout):  # all variants in one program, which compiles faster
    found = {}
    # PSR's advantages are the returns.
    returns = common.prepared(make(**VARIANTS["psr_all_rows"]), rollout)
    for name, choice in VARIANTS.items():
      if f"adv_{name}" not in case.out:
        continue
      method = make(**choice)
      prepared = common.prepared(method, rollout)
      loss, gradient, metrics = common.loss_and_grad(
        method,
        prepared,
        inputs["log_prob"],
        clip=(hp["clip"], hp["clip"]),
        mode=hp["agg"],
      )
      found[name] = {
        "adv": prepared.advantages,
        "returns": returns.advantages,
        "loss": loss,
        "clipfrac": metrics["loss/clipped_fraction"],
        "kl": metrics["loss/kl"],
        "grad": gradient,
      }
    return found

  return run(rollout)


def _compare(where, case, name, found):
  mask, right = case.inputs["mask"], case.inputs["seq_reward"] == 1
  rows = {"psr_correct_rows": right, "nsr_incorrect_rows": ~right}
  kept = rows.get(name, np.ones(right.shape, bool))
  for key, value in found.items():
    want = case.out[f"{key}_{name}"]
    # The code's returns stand outside the mask too.
    want = want * mask[kept] if key == "returns" else want
    value = value[kept] if value.ndim else value
    assert_close(f"{where}: {key}", value, want)
  assert not found["grad"][~kept].any(), where
