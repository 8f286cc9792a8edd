"""Reference vectors of HAPO's four parts and of its loss."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax import stats
from rlvr_jax.methods.hapo import ENTROPY, ROLLOUT_ENTROPY, hapo
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Clock, Draw, TokenBatch

RTOL = 1e-4  # named by the specification


def check_hapo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`, where tokens count."""
  for number, case in common.cases(vectors):
    got, counted = _case(case), case.inputs["mask"] > 0
    for name, value in got.items():
      want = case.out[name]
      if np.shape(want) == counted.shape:
        value, want = (np.where(counted, x, 0) for x in (value, want))
      assert_close(f"case{number}: {name}", value, want, rtol=RTOL)
    common.assert_covered(f"case{number}", case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  given = {
    "sign": "code",
    "pivot": hp["pivot"],
    "tau": hp["tau"],
    "alpha": hp["clip_alpha"],
    "beta": hp["adv_beta"],
    "low": hp["eps_low"],
    "high": hp["eps_high"],
    "dual": hp["dual_clip_c"],
  }
  rollout = common.batch(
    inputs["old_log_prob"],
    None,
    inputs["mask"],
    reward=inputs["seq_reward"],
    group=inputs["group"],
    stats={ROLLOUT_ENTROPY.key: inputs["entropy"]},
  )
  now = {ENTROPY.key: inputs["entropy"]}
  batch = common.prepared(hapo(**given), rollout)
  unscaled = common.prepared(hapo(**given, normalize=False), rollout)

  def loss(method):
    clip = (hp["eps_low"], hp["eps_high"])
    return common.loss_and_grad(
      method, batch, inputs["log_prob"], clip=clip, mode=hp["agg"], stats=now
    )

  value, gradient, metrics = loss(hapo(**given))
  off = dict(redistribution=False, bounds=False)
  record = edited(
    hapo(**given, temperature=False), batch, inputs["log_prob"], stats=now
  )
  upper = record.clip_high - 1
  return {
    "adv_token_group": batch.advantages,
    "adv_token_group_nostd": unscaled.advantages,
    # Never negative in the code.
    "h_hat_code": (upper / hp["eps_high"] - 1) / hp["clip_alpha"],
    "clip_low_eps": 1 - record.clip_low,
    "clip_high_eps": upper,
    "adv_redistributed": record.advantages * record.weights,
    "loss": value,
    "grad_log_prob": gradient,
    "clipfrac": metrics["loss/clipped_fraction"],
    "loss_plain": loss(hapo(**given, **off))[0],
  } | sampler(
    hapo(**given), rollout, inputs["sampler_logits"], inputs["sampler_temp"]
  )


def sampler(
  method: LossTransform,
  rollout: TokenBatch,
  logits: np.ndarray,
  base: np.ndarray,
) -> dict[str, object]:
  """The scale after one rollout, and the temperatures of the next one.

  Args:
    method: `hapo`.
    rollout: with its entropies.
    logits: f32[R, V] that the next tokens are sampled from.
    base: f32[R] temperatures of the draw.
  """
  chain = rlvr_jax.chain(method)
  clock = Clock(0, 0, jax.random.key(0))
  state = rlvr_jax.prepare(chain)(rollout, chain.init(rollout), clock)[1]
  rows = len(logits)
  entropy = stats.from_logits(
    (ENTROPY,),
    {"policy": jnp.asarray(logits)},
    jnp.zeros(rows, jnp.int32),
    jnp.ones(rows),
  )[ENTROPY.key]
  main = Draw("main", 1, temperature=jnp.asarray(base, jnp.float32))
  (draw,) = chain.plan((main,), state)
  scale = state[method.name]
  return {
    "q_pivot": scale.pivot,
    "std_about_pivot": scale.spread,
    "scale_pos": scale.scale_above,
    "scale_neg": scale.scale_below,
    "sampler_temp": draw.temperature_at(entropy),
  }
