"""Reference vectors of UniEnt's open-set TTA and TENT."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.analysis import open_set


def check_open_set_tta(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`; masks are exact."""
  for number, case in common.cases(vectors):
    where = f"case{number}"
    if np.isnan(case.out["ostta_loss"]):
      # Nothing is kept: the code divides 0 by 0, and adds the rest.
      assert not case.out["keep_mask"].any()
      rest = case.hp["alpha"] * case.out["marginal_entropy"]
      case.out["ostta_loss"] = -rest
    got = _case(case)
    np.testing.assert_array_equal(
      got["keep_mask"], case.out["keep_mask"], err_msg=where
    )
    for name, value in got.items():
      assert_close(f"{where}: {name}", value, case.out[name])
    common.assert_covered(where, case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  adapted = case.inputs["logits_adapted"]
  original, alpha = case.inputs["logits_original"], case.hp["alpha"]
  loss = lambda x: open_set.open_set_loss(x, original, alpha)
  tent = lambda x: open_set.tent_loss(x, alpha)
  found = open_set.confidence(adapted, original)
  return {
    "keep_mask": found.kept,
    "conf_original": found.original,
    "conf_adapted": found.adapted,
    "entropy": open_set.entropy(adapted),
    "marginal_entropy": open_set.marginal_entropy(adapted),
    "ostta_loss": loss(adapted),
    "ostta_grad_logits": jax.grad(loss)(adapted),
    "tent_loss": tent(adapted),
    "tent_grad_logits": jax.grad(tent)(adapted),
  }
