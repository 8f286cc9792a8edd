"""Reference vectors of One-Shot-RLVR: the choice of data, and the loss."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.analysis import data_selection
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.one_shot_rlvr import ENTROPY, REF_LOGP, one_shot_rlvr
from rlvr_jax.stats import LOGP, from_logits
from rlvr_jax.types import Clock


def check_one_shot_rlvr(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    where = f"case{number}"
    check = _check_selection if "history" in case.inputs else _check_loss
    common.assert_covered(where, case, check(where, case), ())


def _check_selection(where: str, case: common.Case) -> set[str]:
  history, keys = case.inputs["history"], case.inputs["keys"]
  lengths = (~np.isnan(history)).sum(axis=1)
  np.testing.assert_array_equal(lengths, case.inputs["lengths"])
  scores = {
    "std": data_selection.historical_deviation(history),
    "lim": data_selection.learning_impact(history),
  }
  for name, score in scores.items():
    assert_close(f"{where}: {name}", score, case.out[name])
    order = keys[data_selection.rank(score)]
    np.testing.assert_array_equal(order, case.out[f"rank_{name}"], where)
  return {*scores, *(f"rank_{name}" for name in scores)}


def _check_loss(where: str, case: common.Case) -> set[str]:
  inputs, hp, out = case.inputs, case.hp, case.out
  rollout = _rollout(inputs)
  assert_close(f"{where}: advantages", rollout.advantages, out["advantages"])
  coefs = {
    "policy_coef": hp["pg_loss_coeff"],
    "entropy_coef": hp["entropy_coeff"],
    "kl_coef": hp["kl_coeff"],
  }
  loss, gradient, _ = _loss(rollout, inputs, hp["cliprange"], **coefs)
  # The code gives each term, also those whose coefficient is 0.
  _, _, terms = _loss(rollout, inputs, hp["cliprange"], kl_coef=1.0)
  got = {
    "pg_loss": terms["loss/policy"],
    "entropy": terms["one_shot_rlvr/entropy"],
    "kl": terms["one_shot_rlvr/kl"],
    "loss": loss,
    "grad_logits": gradient,
  }
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  if not hp["pg_loss_coeff"]:
    # Per unit of the coefficient, so that the tolerance means something.
    unit = hp["entropy_coeff"]
    assert_close(f"{where}: slope", gradient / unit, out["grad_logits"] / unit)
  return {"advantages", *got}


def _rollout(inputs):
  batch = common.batch(
    inputs["old_log_probs"],
    None,
    inputs["mask"],
    reward=inputs["rewards"],
    group=inputs["uid"],
    stats={REF_LOGP.key: inputs["ref_log_probs"]},
  )
  return common.prepared(grpo(), batch)


def _loss(rollout, inputs, cliprange, **coefs):
  """Loss, its gradient by the logits, and metrics."""
  method = rlvr_jax.chain(one_shot_rlvr(**coefs))
  loss_fn = rlvr_jax.loss(method, clip=(cliprange, cliprange))
  state = method.init(rollout)
  tokens = jnp.asarray(inputs["tokens"], jnp.int32)

  def total(logits):
    flat = {"policy": logits.reshape(-1, logits.shape[-1])}
    ones = jnp.ones(tokens.size)
    found = from_logits((LOGP, ENTROPY), flat, tokens.reshape(-1), ones)
    stats = {k: v.reshape(tokens.shape) for k, v in found.items()}
    clock = Clock(0, 0, jax.random.key(0))
    value, (_, metrics) = loss_fn(stats, rollout, state, clock)
    return value, metrics

  grad = jax.jit(jax.value_and_grad(total, has_aux=True))
  (value, metrics), gradient = grad(jnp.asarray(inputs["logits"]))
  return value, gradient, metrics
