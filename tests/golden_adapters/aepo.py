"""Reference vectors of AEPO's row selection and DCPO's advantages."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods
from rlvr_jax.methods.aepo import AepoState, aepo
from rlvr_jax.methods.dcpo import DcpoState, dcpo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.stats import LOGP, Logp, from_logits
from rlvr_jax.types import Clock, Draw, Need, TokenBatch, View

ESTIMATE = jax.jit(functools.partial(common.prepared, grpo()))


def check_aepo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    check = _check_dcpo if case.hp.get("dcpo") else _check_aepo
    check(f"case{number}", case)


def _prepared(method, rollout: TokenBatch, state, draws) -> TokenBatch:
  chain = rlvr_jax.chain(grpo(), method)
  states = chain.init(rollout) | {method.name: state}
  clock = Clock(0, 0, jax.random.key(0))
  prepare = jax.jit(rlvr_jax.prepare(chain, draws))
  return prepare(rollout, states, clock)[0]


def _check_aepo(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  size, n = len(inputs["rewards"]), hp["n"]
  method = aepo(
    hp["entropy_base"],
    rows=hp["reinforce_sample_num"],
    per_prompt=n,
    temperature_low=hp["temperature_low"],
    temperature_high=hp["temperature_high"],
    # The code rounds down, the library up.
    prompt_fraction=max(out["n_temperature_prompts"], 1) / hp["P"],
    threshold=hp["adv_threshold"],
  )
  state = AepoState(jnp.float32(inputs["last_entropy"]))
  tempered = method.plan((Draw("main", n),), state)[1]
  temperature = tempered.temperature
  assert_close(f"{where}: temperature", temperature, out["temperature"])
  hot = out["n_temperature_prompts"] * tempered.per_prompt
  mask = np.concatenate([inputs["mask"], inputs["mask_T"][:hot]])
  label = np.concatenate([np.arange(size), -1 - np.arange(hot)])
  rollout = common.batch(
    np.zeros(mask.shape),
    None,
    mask,
    reward=np.concatenate([inputs["rewards"], inputs["rewards_T"][:hot]]),
    group=np.arange(size + hot) // n,
    source=np.arange(size + hot) >= size,
    notes={"label": label},
  )
  before = ESTIMATE(rollout).advantages[:size]
  assert_close(f"{where}: grpo", before, out["grpo_advantages"])
  batch = _prepared(method, rollout, state, (("main", size), ("aepo", hot)))
  label = np.asarray(batch.notes["label"])
  np.testing.assert_array_equal(label, out["source_row"], err_msg=where)
  np.testing.assert_array_equal(batch.mask, out["mask"] > 0, err_msg=where)
  # The code leaves the padding to the loss; here it is zero already.
  expected = out["advantages"] * out["mask"]
  assert_close(f"{where}: advantages", batch.advantages, expected)
  batch = batch.replace(old_logp=jnp.asarray(inputs["old_log_probs"]))
  clip = methods.make(
    "ppo_clip", low=hp["clip_low"], high=hp["clip_high"], dual=hp["clip_dual"]
  )
  loss, gradient, metrics = common.loss_and_grad(
    clip, batch, inputs["log_probs"]
  )
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_probs"])
  got = {
    "clipfrac_higher": metrics["loss/clipped_fraction"],
    "clipfrac_lower": metrics["ppo_clip/dual_fraction"],
  }
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  checked = {"temperature", "n_temperature_prompts", "source_row", "mask"}
  checked |= {"advantages", "grpo_advantages", "loss", "grad_log_probs"}
  common.assert_covered(where, case, checked | set(got), ())


def _check_dcpo(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  mask, logits = inputs["mask"], inputs["logits"]
  method = dcpo(hp["entropy_base"])
  flat = from_logits(
    (LOGP, *method.needs),
    {"policy": jnp.asarray(logits.reshape(-1, logits.shape[-1]))},
    jnp.asarray(inputs["tokens"].reshape(-1), jnp.int32),
    jnp.ones(mask.size),
  )
  stats = {key: value.reshape(mask.shape) for key, value in flat.items()}
  old = stats.pop(LOGP.key)
  assert_close(f"{where}: old", old, inputs["old_log_probs"])
  view = View(temperature=out["temperature"])
  tempered = stats[Need(Logp(), when="rollout", view=view).key]
  assert_close(f"{where}: tempered", tempered, inputs["old_log_probs_T"])
  rollout = common.batch(
    old,
    None,
    mask,
    reward=inputs["rewards"],
    group=np.arange(len(mask)) // hp["n"],
    stats=stats,
  )
  before = ESTIMATE(rollout).advantages
  assert_close(f"{where}: grpo", before, out["grpo_advantages"])
  state = DcpoState(jnp.float32(inputs["last_entropy"]))
  batch = _prepared(method, rollout, state, ())
  # The code leaves the padding to the loss; here it is zero already.
  expected = np.where(mask > 0, out["advantages"], 0)
  assert_close(f"{where}: advantages", batch.advantages, expected)
  got = {
    "temperature": batch.metrics["dcpo/temperature"],
    "alpha": batch.metrics["dcpo/strength"],
  }
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  checked = {"advantages", "grpo_advantages", *got}
  common.assert_covered(where, case, checked, ())
