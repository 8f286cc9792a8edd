"""Reference vectors of the authors' complexity and of its loss."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from golden_adapters.siren import of_logits, total
from rlvr_jax.kernels import reference
from rlvr_jax.methods.cdpo import cdpo


def check_cdpo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: both factors, the loss and its gradient."""
  for number, case in common.cases(vectors):
    checked = _check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, checked, ())


def _check(where: str, case: common.Case) -> set[str]:
  logits, coef, out = case.inputs["logits"], case.hp["coef"], case.out
  shape, size = logits.shape[:-1], logits.shape[-1]
  method = cdpo(coef)
  flat = jnp.asarray(logits).reshape(-1, size)
  moments = reference.moments(flat, jnp.zeros(len(flat), jnp.int32))
  distance = (moments.sum_p2 - 1 / size).reshape(shape)
  assert_close(f"{where}: entropy", moments.entropy, out["entropy"].ravel())
  assert_close(f"{where}: distance", distance, out["disequilibrium"])
  (need,) = method.needs
  product = of_logits((need,), logits)[need.key]
  assert_close(f"{where}: complexity", product, out["complexity"])

  def loss(logits):
    value, _ = total(method, of_logits((need,), logits), np.ones(shape))
    # Per unit of coefficient, so that the tolerance means something.
    return value / coef

  value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(logits))
  assert_close(f"{where}: loss", value, out["loss"] / coef)
  assert_close(f"{where}: gradient", gradient, out["grad_logits"] / coef)
  return {"entropy", "disequilibrium", "complexity", "loss", "grad_logits"}
