"""Reference vectors of the authors' mask and loss, and of TRL's."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax import transform
from rlvr_jax.methods.forking_tokens import forking_tokens
from rlvr_jax.methods.ppo_clip import ppo_clip


def check_forking_tokens(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: both masks, both losses and both gradients."""
  for number, case in common.cases(vectors):
    checked = _check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, checked, ())


def _check(where: str, case: common.Case) -> set[str]:
  inputs, hp, out = case.inputs, case.hp, case.out
  logp, mask = inputs["log_prob"], inputs["response_mask"]
  rollout = common.batch(inputs["old_log_prob"], inputs["advantages"], mask)
  authors = forking_tokens(hp["top_ratio"])
  trl = forking_tokens(hp["top_ratio"], selection="quantile", denominator="all")
  stats = {authors.needs[0].key: inputs["entropy"]}
  found = edited(authors, rollout, logp, stats=stats).mask
  np.testing.assert_array_equal(found, out["top_mask"], err_msg=where)
  found = edited(trl, rollout, logp, stats=stats).weights
  np.testing.assert_array_equal(found, out["trl_mask"], err_msg=where)
  checked = {"top_mask", "trl_mask"}
  if "loss" not in out:
    assert not mask.any()  # their loss of no tokens is not a number
    return checked
  bounds = hp["clip_ratio_low"], hp["clip_ratio_high"]
  mode, scale = hp["loss_agg_mode"], None
  if mode == "seq-mean-token-sum":
    # Their mean over rows counts the rows without kept tokens too.
    mode, scale = "seq-mean-token-sum-norm", len(mask)
  runs = (
    (authors, hp["clip_ratio_c"], mode, ""),
    (trl, None, "token-mean", "_trl_dapo"),
  )
  for method, dual, mode, end in runs:
    loss, gradient, _ = common.loss_and_grad(
      transform.chain(ppo_clip(*bounds, dual=dual), method),
      rollout,
      logp,
      mode=mode,
      scale=scale,
      stats=stats,
    )
    assert_close(f"{where}: loss{end}", loss, out[f"loss{end}"])
    want = out[f"grad_log_prob{end}"]
    assert_close(f"{where}: gradient{end}", gradient, want)
    checked |= {f"loss{end}", f"grad_log_prob{end}"}
  return checked
