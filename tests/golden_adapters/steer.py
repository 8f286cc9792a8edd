"""Reference vectors of the released STEER weights and loss."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax import transform
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.methods.steer import steer
from rlvr_jax.stats import Entropy
from rlvr_jax.types import Need

ENTROPY = Need(Entropy(), when="rollout")
METRICS = {
  "pg_clipfrac": "loss/clipped_fraction",
  "pg_clipfrac_high": "loss/clipped_high_fraction",
  "pg_clipfrac_low": "loss/clipped_low_fraction",
  "pg_clipfrac_lower": "ppo_clip/dual_fraction",
  "ppo_kl": "loss/kl",
}
CHECKED = {"token_weights", "token_weights_asymmetric", "loss"}
CHECKED |= {"grad_log_prob", "loss_vanilla", "grad_log_prob_vanilla"}
CHECKED |= {"omega_released_signed", *METRICS}


def check_steer(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, CHECKED, ())


def _check(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  logp = inputs["log_prob"]
  rollout = common.batch(
    inputs["old_log_prob"],
    inputs["advantages"],
    inputs["response_mask"],
    stats={ENTROPY.key: inputs["entropy"]},
  )
  chosen = {
    "w_min": hp["token_weight_min"],
    "w_max": hp["token_weight_max"],
    "mapping": "linear" if hp["linear"] else "exp",
  }
  suffix = {"symmetric": "", "asymmetric": "_asymmetric"}
  for mode, ending in suffix.items():
    weights = edited(steer(**chosen, mode=mode), rollout, logp).weights
    name = f"token_weights{ending}"
    assert_close(f"{where}: {name}", weights, out[name])
  _check_omega(where, case, rollout)
  if "loss" not in out:  # no token counts
    return
  clip = ppo_clip(
    hp["clip_ratio_low"], hp["clip_ratio_high"], hp["clip_ratio_c"]
  )
  weighted = transform.chain(clip, steer(**chosen))
  share = 1.0
  if hp["loss_agg_mode"].startswith("seq-mean"):
    # The verl of the time also counts the rows without tokens in this mean.
    share = (inputs["response_mask"].sum(axis=1) > 0).mean()
  for method, ending in ((weighted, ""), (clip, "_vanilla")):
    loss, gradient, metrics = common.loss_and_grad(
      method, rollout, logp, mode=hp["loss_agg_mode"]
    )
    expected = out[f"loss{ending}"], out[f"grad_log_prob{ending}"]
    assert_close(f"{where}: loss{ending}", loss * share, expected[0])
    assert_close(f"{where}: gradient{ending}", gradient * share, expected[1])
    for name, ours in METRICS.items():
      assert_close(f"{where}: {name}", metrics[ours], out[name])


def _check_omega(where: str, case: common.Case, rollout) -> None:
  """Omega token by token: as the only one counted it is the metric's value."""
  logp, mask = case.inputs["log_prob"], case.inputs["response_mask"]
  measure = steer()

  @jax.jit
  @jax.vmap
  def size(alone):
    batch = rollout.replace(mask=alone)
    return edited(measure, batch, logp).metrics["steer/omega_max"]

  counted = np.argwhere(mask > 0)
  if not len(counted):
    return
  alone = np.zeros((len(counted), *mask.shape), bool)
  alone[(np.arange(len(counted)), *counted.T)] = True
  expected = np.abs(case.out["omega_released_signed"][tuple(counted.T)])
  assert_close(f"{where}: omega", size(alone), expected)
