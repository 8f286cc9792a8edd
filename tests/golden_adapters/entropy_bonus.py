"""Reference vectors of the bonus (verl, OpenRLHF) and of its controllers."""

from collections.abc import Mapping
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.entropy_bonus import (
  ENTROPY,
  ROLLOUT_ENTROPY,
  entropy_bonus,
)
from rlvr_jax.objective import Aggregation
from rlvr_jax.stats import LOGP, from_logits
from rlvr_jax.types import Clock


def check_entropy_bonus(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    loss = "logits" in case.inputs
    got = (_bonus if loss else _controllers)(case)
    for name, value in got.items():
      want = case.out[name]
      if name.endswith("_grad"):
        # Per unit of coefficient, so that the tolerance means something.
        value, want = value / case.hp["coef"], want / case.hp["coef"]
      # The code takes logsumexp(z) - sum p z, which cancels: with logits near
      # 70 its float32 is itself off by several 1e-6 nats.
      atol = 1e-5 if loss else 1e-6
      assert_close(f"case{number}: {name}", value, want, atol=atol)
    common.assert_covered(f"case{number}", case, got, ())


def _bonus(case: common.Case) -> dict[str, jax.Array]:
  mask, coef = case.inputs["mask"], case.hp["coef"]
  logits = jnp.asarray(case.inputs["logits"])
  rollout = common.batch(np.zeros(mask.shape), None, mask)
  clock = Clock(0, 0, jax.random.key(0))

  def statistics(logits):
    flat = from_logits(
      (LOGP, ENTROPY),
      {"policy": logits.reshape(-1, logits.shape[-1])},
      jnp.zeros(mask.size, jnp.int32),
      jnp.ones(mask.size),
    )
    return {key: value.reshape(mask.shape) for key, value in flat.items()}

  def total(logits, mode):
    # Advantages are zero, so the loss is the bonus alone.
    method = rlvr_jax.chain(entropy_bonus(coef))
    loss_fn = rlvr_jax.loss(method, mode=mode)
    state = method.init(rollout)
    return loss_fn(statistics(logits), rollout, state, clock)[0]

  found = {"entropy": statistics(logits)[ENTROPY.key]}
  for mode in get_args(Aggregation):
    value, gradient = jax.value_and_grad(total)(logits, mode)
    name = f"verl_{mode.replace('-', '_')}"
    found |= {name: -value / coef, f"{name}_grad": gradient}
  found["openrlhf_token"] = found["verl_token_mean"]
  found["openrlhf_seq"] = found["verl_seq_mean_token_mean"]
  return found


def _controllers(case: common.Case) -> dict[str, np.ndarray]:
  """The coefficients in force while the measured entropies come in."""
  entropies = case.inputs["entropies"]
  value, enabled, applied, final = _run("skywork", case, case.hp["target"])
  np.testing.assert_array_equal(applied, value * enabled)
  found = {
    "skywork_value_used": value,
    "skywork_enabled_used": enabled,
    "skywork_final": final,
  }
  # TRL compares the float32 entropy with the target as a double. The largest
  # float32 up to that double decides every float32 in the same way.
  target = np.float32(case.hp["target"])
  if float(target) > case.hp["target"]:
    target = np.nextafter(target, np.float32(0))
  _, _, applied, final = _run("trl", case, float(target))
  return found | {
    "trl_coef_applied": applied,
    "trl_loss_term": -applied * entropies,
    "trl_final": final,
  }


def _run(adaptive, case, target):
  hp = case.hp
  method = entropy_bonus(
    adaptive=adaptive,
    target=target,
    delta=hp["delta"],
    coef_min=hp["min"],
    coef_max=hp["max"],
    coef_initial=hp["init"],
  )
  # One token, so that its mean is exactly the entropy.
  stats = {ROLLOUT_ENTROPY.key: np.zeros((1, 1), np.float32)}
  rollout = common.batch(np.zeros((1, 1)), None, np.ones((1, 1)), stats=stats)
  prepare = rlvr_jax.prepare(method)
  clock = Clock(0, 0, jax.random.key(0))

  def step(state, entropy):
    nats = jnp.full((1, 1), entropy)
    batch = rollout.replace(old_logp=-nats, stats={ROLLOUT_ENTROPY.key: nats})
    before = state[method.name]
    after = prepare(batch, state, clock)[1]
    used = before.coef, before.enabled, after[method.name].applied
    return after, used

  start = rlvr_jax.chain(method).init(rollout)
  entropies = jnp.asarray(case.inputs["entropies"], jnp.float32)
  last, used = jax.lax.scan(step, start, entropies)
  return *map(np.asarray, used), np.asarray(last[method.name].coef)
