"""Reference vectors of the one line of SIREN's baseline_entropy_adv."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax.methods.entropy_advantage import entropy_advantage


def check_entropy_advantage(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    inputs, hp = case.inputs, case.hp
    method = entropy_advantage(coef=hp["alpha"], kappa=hp["kappa"])
    flat = np.zeros_like(inputs["entropy"])
    rollout = common.batch(flat, inputs["advantages"], inputs["mask"])
    (need,) = method.needs
    stats = {need.key: inputs["entropy"]}
    found = edited(method, rollout, flat, stats=stats).advantages
    want = np.where(inputs["mask"] > 0, case.out["advantages"], 0)
    assert_close(f"case{number}: advantages", found, want)
    common.assert_covered(f"case{number}", case, ("advantages",), ())
