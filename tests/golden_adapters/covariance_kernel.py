"""Reference vectors of the moments of given logits, and of their gradient.

The hidden states are the logits and the weights the identity, so a sweep over
the vocabulary makes exactly these logits.
"""

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from rlvr_jax.analysis import entropy_dynamics
from rlvr_jax.kernels import chunked, engines, pallas_gpu, pallas_tpu
from rlvr_jax.kernels.token_statistics import token_statistics

NAMES = {
  "logp": "logp",
  "lse": "log_z",
  "entropy": "entropy",
  "varentropy": "varentropy",
  "sum_p2": "sum_p2",
  "nec": "cov_p_logp",
}
BLOCKS = {
  "chunked": chunked.Blocks(rows=4, columns=8),
  "pallas_tpu": pallas_tpu.Blocks(
    rows=8, columns=128, interpret=pallas_tpu.NAN_FILLED
  ),
  "pallas_gpu": pallas_gpu.Blocks(
    rows=16, columns=16, depth=16, parts=2, interpret=True
  ),
}
DERIVED = {
  "S",
  "grad_norm2",
  "dH_exact_first_order",
  "dH_steer_diag",
  "dH_true",
}


def check_covariance_kernel(vectors: common.Numbers) -> None:
  """Asserts all moments, their gradient and what follows from them."""
  for number, case in common.cases(vectors):
    where = f"case{number}"
    checked = {*NAMES, "max_prob", "grad_logits", *DERIVED}
    common.assert_covered(where, case, checked, ())
    for name in engines.NAMES:
      _check_sweep(case, name, f"{where} {name}")
    _check_derived(case, where)


def _check_sweep(case: common.Case, name: str, where: str) -> None:
  logits, targets = case.inputs["logits"], case.inputs["token_ids"]
  identity = jnp.eye(logits.shape[1])

  def total(logits):
    found = token_statistics(
      logits,
      identity,
      targets,
      implementation=name,
      blocks=BLOCKS.get(name),
    )
    cotangents = {k: case.inputs[f"cot_{k}"] for k in NAMES}
    parts = [
      (getattr(found, NAMES[k]) * g).sum() for k, g in cotangents.items()
    ]
    return sum(parts), found

  gradient, found = jax.jit(jax.grad(total, has_aux=True))(logits)
  for key, field in {**NAMES, "max_prob": "max_prob"}.items():
    _close(getattr(found, field), case.out[key], f"{where} {key}")
  _close(gradient, case.out["grad_logits"], f"{where} gradient")


def _check_derived(case: common.Case, where: str) -> None:
  out, alpha = case.out, case.hp["alpha"]
  p = np.exp(out["logp"])
  s = entropy_dynamics.discriminator(out["logp"], out["entropy"])
  change = entropy_dynamics.entropy_change(
    out["logp"], out["entropy"], out["nec"], np.ones_like(p), alpha
  )
  _close(s, out["S"], f"{where} S")
  _close(change, out["dH_exact_first_order"], f"{where} first order")
  # The change itself has the curvature on top.
  assert np.abs(change - out["dH_true"]).max() <= 5 * alpha**2, where
  _close(-alpha * (1 - p) * s, out["dH_steer_diag"], f"{where} steer")
  _close(1 - 2 * p + out["sum_p2"], out["grad_norm2"], f"{where} norm")


def _close(found: np.ndarray, want: np.ndarray, where: str) -> None:
  """2e-5 of the largest number of the array, the page's tolerance."""
  largest = np.abs(want).max()
  error = np.abs(np.asarray(found, np.float64) - want).max()
  assert error <= 2e-5 * max(largest, 1e-3), f"{where}: {error} of {largest}"
