"""Reference vectors of AEPO's row selection and DCPO's advantages."""

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


def check_aepo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    check = _check_dcpo if case.hp.get("dcpo") else _check_aepo
    check(f"case{number}", case)


def _prepared(method, rollout: TokenBatch, state, draws) -> TokenBatch:
  chain = rlvr_jax.chain(grpo(), method)
  states = chain.init(rollout) | {method.name: state}
  clock = Clock(0, 0, jax.random.key(0))
  return rlvr_jax.prepare(chain, draws)(rollout, states, clock)[0]


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
    prompt_fraction=out["n_temperature_prompts"] / hp["P"],
    threshold=hp["adv_threshold"],
  )
  state = AepoState(jnp.float32(inputs["last_entropy"]), jnp.int32(-2))
  tempered = method.plan((Draw("main", n),), state)[1]
  assert_close(f"{where}: temperature", tempered.temperature, out["temperature"])
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
  before = common.prepared(grpo(), rollout).advantages[:size]
  assert_close(f"{where}: grpo", before, out["grpo_advantages"])
  batch = _prepared(method, rollout, state, (("main", size), ("aepo", hot)))
  # The label of a whole padding row is cleaned away; none is left here.
  label = np.asarray(batch.notes["label"])
  np.testing.assert_array_equal(label, out["source_row"], err_msg=where)
  np.testing.assert_array_equal(batch.mask, out["mask"] > 0, err_msg=where)
  assert_close(f"{where}: advantages", batch.advantages, out["advantages"])
  batch = batch.replace(old_logp=jnp.asarray(inputs["old_log_probs"]))
  clip = methods.make(
    "ppo_clip", low=hp["clip_low"], high=hp["clip_high"], dual=hp["clip_dual"]
  )
  loss, gradient, metrics = common.loss_and_grad(
    clip, batch, inputs["log_probs"]
  )
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_probs"])
