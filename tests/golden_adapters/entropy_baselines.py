"""Reference vectors of the baselines that entropy papers compare with."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax.methods.entropy_advantage import entropy_advantage
from rlvr_jax.methods.entropy_bonus import ROLLOUT_ENTROPY, entropy_bonus
from rlvr_jax.methods.forking_tokens import forking_tokens
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.stats import Entropy, from_logits
from rlvr_jax.types import Clock, Need

ENTROPY = Need(Entropy())


def check_entropy_baselines(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    where = f"case{number}"
    check = _check_losses if "logits" in case.inputs else _check_controller
    common.assert_covered(where, case, check(where, case), ())


def _check_losses(where: str, case: common.Case) -> set[str]:
  inputs, out = case.inputs, case.out
  stats = {ENTROPY.key: _entropy(inputs["logits"])}
  assert_close(f"{where}: entropy", stats[ENTROPY.key], out["entropy"])
  checked = {"entropy"} | _check_shaped(where, case, stats)
  return checked | _check_masks(where, case, stats)


def _entropy(logits: np.ndarray) -> jax.Array:
  flat = {"policy": jnp.asarray(logits).reshape(-1, logits.shape[-1])}
  count = len(flat["policy"])
  found = from_logits(
    (ENTROPY,), flat, jnp.zeros(count, jnp.int32), jnp.ones(count)
  )
  return found[ENTROPY.key].reshape(logits.shape[:-1])


def _rollout(inputs):
  return common.batch(
    inputs["old_log_probs"], inputs["advantages"], inputs["mask"]
  )


def _check_shaped(where, case, stats) -> set[str]:
  """Clip-higher with the dual clip, on the shaped advantages."""
  inputs, hp, out = case.inputs, case.hp, case.out
  rollout, logp = _rollout(inputs), inputs["log_probs"]
  shape = entropy_advantage(coef=hp["alpha"], kappa=hp["kappa"])
  clip = ppo_clip(hp["clip_low"], hp["clip_high"], dual=hp["clip_dual"])
  found = edited(shape, rollout, logp, stats=stats).advantages
  want = np.where(inputs["mask"] > 0, out["shaped_advantages"], 0)
  assert_close(f"{where}: shaped advantages", found, want)
  loss, gradient, metrics = common.loss_and_grad(
    rlvr_jax.chain(clip, shape), rollout, logp, stats=stats
  )
  got = {
    "shaped_clip_loss": loss,
    "shaped_clip_grad": gradient,
    "clipfrac": metrics["loss/clipped_fraction"],
    "clipfrac_lower": metrics["ppo_clip/dual_fraction"],
  }
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  return {"shaped_advantages", *got}


def _check_masks(where, case, stats) -> set[str]:
  """The three selections of tokens, and the loss of the first."""
  inputs, hp, out = case.inputs, case.hp, case.out
  rollout, logp = _rollout(inputs), inputs["log_probs"]
  share = hp["top_fraction"]
  batch = forking_tokens(share, rounding="floor")
  masks = {
    "mask_8020_batch": batch,
    "mask_8020_seq_quantile": forking_tokens(
      share, selection="quantile", population="row", strict=True
    ),
    "mask_8020_trl": forking_tokens(share, selection="quantile"),
  }
  for name, method in masks.items():
    found = edited(method, rollout, logp, stats=stats).mask
    np.testing.assert_array_equal(found, out[name], err_msg=f"{where}: {name}")
  # This loss of the code has no dual clip.
  bounds = ppo_clip(hp["clip_low"], hp["clip_high"])
  loss, gradient, _ = common.loss_and_grad(
    rlvr_jax.chain(bounds, batch), rollout, logp, stats=stats
  )
  got = {"loss_8020_batch": loss, "grad_8020_batch": gradient}
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  return {*masks, *got}


def _check_controller(where: str, case: common.Case) -> set[str]:
  """The coefficients in force while the measured entropies come in."""
  method = entropy_bonus(
    adaptive="integral",
    rate=case.hp["lr"],
    coef_initial=case.hp["init"],
    coef_max=float("inf"),
  )
  one = np.ones((1, 1), np.float32)
  rollout = common.batch(one, None, one, stats={ROLLOUT_ENTROPY.key: one})
  prepare = rlvr_jax.prepare(method)
  clock = Clock(0, 0, jax.random.key(0))

  def step(state, entropy):
    stats = {ROLLOUT_ENTROPY.key: jnp.full((1, 1), entropy)}
    state = prepare(rollout.replace(stats=stats), state, clock)[1]
    return state, state[method.name].applied

  start = rlvr_jax.chain(method).init(rollout)
  entropies = jnp.asarray(case.inputs["entropies"], jnp.float32)
  last, used = jax.lax.scan(step, start, entropies)
  got = {"coef_used": used, "coef_final": last[method.name].coef}
  for name, value in got.items():
    # Per unit of the rate, so that the tolerance means something.
    rate = case.hp["lr"]
    assert_close(f"{where}: {name}", value / rate, case.out[name] / rate)
  return set(got)
