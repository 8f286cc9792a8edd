"""Reference vectors of verl's and the authors' compute_policy_loss_kl_cov."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax import reduce
from rlvr_jax.methods.kl_cov import kl_cov

CHECKED = {"selected", "cov", "loss", "grad_log_prob", "ppo_kl_abs"}
CHECKED |= {"loss_author_repo", "grad_log_prob_author_repo"}


def check_kl_cov(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  logp, mask = inputs["log_prob"], inputs["response_mask"]
  rollout = common.batch(inputs["old_log_prob"], inputs["advantages"], mask)
  fraction = hp["kl_cov_ratio"]
  method = kl_cov(fraction=fraction, coef=hp["ppo_kl_coef"])
  loss, gradient, metrics = common.loss_and_grad(
    method, rollout, logp, mode=hp["loss_agg_mode"]
  )
  # A penalty of one at log ratio -1 everywhere: what is added is the choice.
  ones = rollout.replace(old_logp=jnp.asarray(logp) + 1)
  chosen = edited(kl_cov(fraction=fraction, penalty="k1"), ones, logp).added
  cov = reduce.centred_product(
    jnp.asarray(inputs["advantages"]), jnp.asarray(logp), jnp.asarray(mask)
  )
  selected = np.asarray(chosen) > 0.5
  np.testing.assert_array_equal(selected, out["selected"] > 0, err_msg=where)
  assert_close(f"{where}: cov", cov, out["cov"], atol=1e-5)
  for suffix in ("", "_author_repo"):
    name = f"{where}{suffix}"
    assert_close(f"{name}: loss", loss, out[f"loss{suffix}"])
    assert_close(f"{name}: gradient", gradient, out[f"grad_log_prob{suffix}"])
  drift = metrics["kl_cov/log_ratio_abs_nats"]
  assert_close(f"{where}: ppo_kl_abs", drift, out["ppo_kl_abs"])
  common.assert_covered(where, case, CHECKED, ())
