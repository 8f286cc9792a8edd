"""Reference vectors of SPEAR: replayed advantages, its clip, its schedules."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import reduce, replayed, transform
from rlvr_jax.methods import tool_reward
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.methods.spear import spear
from rlvr_jax.types import LOGP_KEY, Clock


def check_spear(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case, each by the output that only its kind has."""
  checks = {
    "adv_recalibrated": _recalibrated,
    "grad_log_prob": _clipped,
    "gamma": _schedules,
    "score": _scores,
  }
  for number, case in common.cases(vectors):
    (check,) = (fn for name, fn in checks.items() if name in case.out)
    check(f"case{number}", case)


def _recalibrated(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  mask = jnp.asarray(inputs["response_mask"] > 0)
  reward = inputs["token_level_rewards"].sum(axis=1)
  size = len(inputs["reward_mean_history"])
  seen = replayed.History.empty(size, 0)._replace(
    mean=jnp.float32(inputs["reward_mean_history"]),
    std=jnp.float32(inputs["reward_std_history"]),
    step=jnp.zeros(size, jnp.int32),
  )
  mean, std = seen.medians()
  gain = seen.recalibrated(
    jnp.asarray(reward), mask, bool(hp["norm_by_std"]), hp["eps"]
  )
  rollout = common.batch(
    0 * mask, None, mask, reward=reward, group=inputs["group_index"]
  )
  estimator = grpo(epsilon=hp["eps"]) if hp["norm_by_std"] else dr_grpo()
  of_group = common.prepared(estimator, rollout).advantages
  assert_close(f"{where}: p50_mean", mean, out["p50_mean"])
  assert_close(f"{where}: p50_std", std, out["p50_std"])
  assert_close(f"{where}: replayed", gain, out["adv_recalibrated"])
  assert_close(f"{where}: of the group", of_group, out["adv_group"])
  # Stored as it is and worth something now: the row is replayed.
  kept = np.asarray(gain.sum(axis=1) > 0)
  np.testing.assert_array_equal(kept, out["keep"], err_msg=where)
  checked = {"p50_mean", "p50_std", "adv_recalibrated", "adv_group", "keep"}
  common.assert_covered(where, case, checked, ())


def _clipped(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  mask, logp = inputs["response_mask"], jnp.asarray(inputs["log_prob"])
  rollout = common.batch(
    inputs["old_log_prob"],
    inputs["advantages"],
    mask,
    source=-1 + 0 * mask[:, 0],
  )
  window = {"low": hp["cov_lb"], "high": hp["cov_ub"]}
  # Past its last step, so that the replayed loss counts in full.
  method = transform.chain(
    ppo_clip(hp["clip_low"], hp["clip_high"]),
    spear(0, fraction=hp["cov_ratio"], steps=1, **window),
  )
  mode = "seq-mean-token-sum-norm" if hp["seq_sum_norm"] else "token-mean"
  loss_fn = rlvr_jax.loss(method, mode=mode)
  state = method.init(rollout)
  run = lambda x: loss_fn(
    {LOGP_KEY: x}, rollout, state, Clock(1, 0, jax.random.key(0))
  )
  (loss, (_, metrics)), gradient = jax.jit(
    jax.value_and_grad(run, has_aux=True)
  )(logp)
  cov = reduce.centred_product(
    jnp.asarray(inputs["advantages"]), logp, jnp.asarray(mask)
  )
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_prob"])
  dropped = metrics["spear/dropped_fraction"]
  assert_close(f"{where}: clipfrac", dropped, out["clipfrac"])
  assert_close(f"{where}: ppo_kl", metrics["loss/kl"], out["ppo_kl"])
  # The vectors hold it in the padding, too.
  expected = np.where(mask > 0, out["cov"], 0)
  assert_close(f"{where}: cov", cov, expected, atol=1e-5)
  checked = {"loss", "grad_log_prob", "clipfrac", "ppo_kl", "cov"}
  common.assert_covered(where, case, checked, ())


def _schedules(where: str, case: common.Case) -> None:
  step, hp, out = case.inputs["step"], case.hp, case.out
  coef = hp["replay_loss_coef"]
  rising = coef * replayed.rising(step, hp["max_replay_loss_steps"])
  falling = replayed.falling(step, hp["max_toolcall_steps"])
  assert_close(f"{where}: gamma", rising, out["gamma"])
  assert_close(f"{where}: mu", falling, out["mu"])
  common.assert_covered(where, case, {"gamma", "mu"}, ())


def _scores(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  earned = tool_reward.bonus(
    jnp.float32(inputs["n_toolcall_turns"]),
    jnp.float32(inputs["outcome"]),
    hp["per_call"],
    hp["cap"],
    "any" if hp["variant_qwen3"] else "count",
  )
  fades = replayed.falling(inputs["global_step"], hp["max_toolcall_steps"])
  assert_close(
    f"{where}: score", inputs["outcome"] + fades * earned, out["score"]
  )
  common.assert_covered(where, case, {"score"}, ())
