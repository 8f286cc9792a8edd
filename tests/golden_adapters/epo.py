"""Reference vectors of the authors' penalty, schedule and entropy term."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from golden_adapters.siren import of_logits
from rlvr_jax.methods.epo import ENTROPY, ROLLOUT_ENTROPY, epo
from rlvr_jax.stats import LOGP
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Clock, PyTree


def check_epo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: three of the entropy term, one of the schedule."""
  for number, case in common.cases(vectors):
    check = _check if "logits" in case.inputs else _schedule
    checked = check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, checked, ())


def _check(where: str, case: common.Case) -> set[str]:
  inputs, hp, out = case.inputs, case.hp, case.out
  logits, mask = inputs["logits"], inputs["mask"]
  parameters = {
    "coef": hp["entropy_coeff"],
    "penalty": hp["out_range_penalty"] * hp["smooth_coeff"],
    "low": hp["min_ratio"],
    "high": hp["max_ratio"],
    "form": "indicator",
    "schedule": "code" if hp["enable_smooth_weights"] else "constant",
    "steps": hp["max_epochs"],
    "level": {"token": "token", "seq": "row"}[hp["mode"]],
    "turns": inputs["history_rows"].shape[1],
    "include_current": True,
  }
  method = epo(**parameters)
  state = _history(method, inputs["history_rows"])
  reference = state["epo"].reference
  assert_close(f"{where}: history", reference, inputs["entropy_history"])

  turn, step = inputs["rollout_step"], hp["epoch"]

  def term(method, mask):
    """The loss per unit of coefficient, metrics; and the gradient."""

    def run(logits):
      stats = of_logits((ENTROPY,), logits)
      value, metrics = _loss(
        method, stats, mask, state, turn, step, hp["loss_agg_mode"]
      )
      return value / hp["entropy_coeff"], metrics

    grad = jax.value_and_grad(run, has_aux=True)
    return jax.jit(grad)(jnp.asarray(logits))

  (loss, metrics), gradient = term(method, mask)
  plain = epo(**parameters | {"penalty": 0.0})
  bonus = term(plain, mask)[0][0]
  unit = 1 / hp["entropy_coeff"]
  assert_close(f"{where}: loss", loss, out["loss"] * unit)
  want = out["grad_logits"] * unit
  assert_close(f"{where}: gradient", gradient, want)
  assert_close(f"{where}: entropy", -bonus, out["entropy_agg"])
  assert_close(f"{where}: penalty", loss - bonus, out["penalty_agg"])
  assert_close(f"{where}: weight", metrics["epo/schedule"], out["epoch_weight"])
  nats = of_logits((ENTROPY,), logits)[ENTROPY.key]
  assert_close(f"{where}: H", nats, out["entropy"])
  # The code gives the rest of padding too, so here every position counts.
  whole = np.ones_like(mask)
  metrics = term(method, whole)[0][1]
  within = 1 - metrics["epo/outside_fraction"]
  assert_close(f"{where}: within", within, out["within_ratio"])

  def added(method):
    """Its addition to the loss of each token."""
    at_hand = method._replace(
      apply=lambda record, _, context: method.apply(
        record, state["epo"], context._replace(step=step)
      )
    )
    rollout = _batch(whole, turn)
    stats = {ENTROPY.key: nats}
    return edited(at_hand, rollout, 0 * whole, stats=stats).added

  pull = np.asarray(added(method) - added(plain)) * unit
  assert_close(f"{where}: penalties", pull, out["penalty"])
  # Its second mask is 1 inside the corridor and the penalty outside.
  multiplied = np.where(pull > 0, hp["out_range_penalty"], 1.0)
  want = out["multiplicative_mask"]
  assert_close(f"{where}: multiplicative mask", multiplied, want)
  return {
    "loss",
    "grad_logits",
    "entropy_agg",
    "penalty_agg",
    "epoch_weight",
    "entropy",
    "within_ratio",
    "penalty",
    "multiplicative_mask",
  }


def _history(method: LossTransform, rows: np.ndarray) -> PyTree:
  """The state after steps whose turns had these mean entropies."""
  chain = rlvr_jax.chain(method)
  turns = np.arange(rows.shape[1])[None]
  one = np.ones(turns.shape)
  rollout = common.batch(
    one, None, one, turn=turns, stats={ROLLOUT_ENTROPY.key: one}
  )
  prepare = rlvr_jax.prepare(chain)
  state = chain.init(rollout)
  for row in rows:
    nats = {ROLLOUT_ENTROPY.key: jnp.asarray(row[None], jnp.float32)}
    clock = Clock(0, 0, jax.random.key(0))
    _, state = prepare(rollout.replace(stats=nats), state, clock)
  return state


def _batch(mask, turn):
  turn = np.broadcast_to(np.asarray(turn)[:, None], mask.shape)
  return common.batch(np.zeros(mask.shape), None, mask, turn=turn)


def _loss(method, stats, mask, state, turn, step, mode="token-mean"):
  loss_fn = rlvr_jax.loss(rlvr_jax.chain(method), mode=mode)
  given = {LOGP.key: jnp.zeros(mask.shape)} | stats
  clock = Clock(jnp.asarray(step), 0, jax.random.key(0))
  value, (_, metrics) = loss_fn(given, _batch(mask, turn), state, clock)
  return value, metrics


def _schedule(where: str, case: common.Case) -> set[str]:
  method = epo(schedule="code", steps=case.hp["max_epochs"])
  one = np.ones((1, 1))
  rollout = common.batch(one, None, one)
  state = rlvr_jax.chain(method).init(rollout)

  def weight(step):
    stats = {ENTROPY.key: jnp.ones((1, 1))}
    metrics = _loss(method, stats, one, state, [0], step)[1]
    return metrics["epo/schedule"]

  found = jax.jit(jax.vmap(weight))(jnp.asarray(case.inputs["epochs"]))
  assert_close(f"{where}: weights", found, case.out["epoch_weight"])
  return {"epoch_weight"}
