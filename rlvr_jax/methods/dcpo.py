"""DCPO: hold the entropy at a target by re-weighting the rows at hand."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need, View

MAX_LOG_RATIO = 20.0  # nats; keeps the ratio of temperatures finite


class DcpoState(NamedTuple):
  """What the next step must know of the last one."""

  entropy: Array  # f32[] nats, measured at the last prepare


def dcpo(
  target_entropy: float,
  temperature_low: float = 0.8,
  temperature_high: float = 1.2,
  cap: float = 0.1,
  threshold: float = 0.05,
  initial_entropy: float = 0.0,
) -> LossTransform:
  """Mixes a pull towards the right part of a tempered policy into A.

  A' = (1 - a) A + a b rho with b = 1 for right rows, rho = pi_old^T / pi_old at
  the sampled token, a = x / (1 + x), x = min(|target - e|, cap) / mean b, e the
  entropy of the last step and T temperature_high while e <= target, else
  temperature_low. No extra samples: AEPO's second draw is replaced by the
  weight rho. Stand behind the advantage estimator. Replayed rows keep theirs.

  Edits:   batch.advantages (+)
  Needs:   log-prob of the policy at rollout at both temperatures
  State:   entropy f32[] nats, set at prepare
  Scope:   step
  Neutral: cap = 0

  Args:
    target_entropy: nats per token, >= 0; best 0.25.
    temperature_low: of the tempered policy above the target, > 0; 0.8.
    temperature_high: of the tempered policy up to the target, >=
      temperature_low; 1.2.
    cap: largest error of the entropy that counts, nats, >= 0; 0.1.
    threshold: rows with a larger reward are right; 0.05.
    initial_entropy: before the first step, nats; 0.

  Returns:
    A LossTransform named "dcpo".

  Raises:
    ValueError: a parameter out of its range.

  Metrics:
    dcpo/temperature: T of this step.
    dcpo/strength: a.
    dcpo/right_fraction: mean of b.
    dcpo/entropy: of the main draw, nats; decides the next T and a.

  Source:
    Wang et al., arXiv 2601.12730. Code: 597358816/AEPO,
    verl/trainer/ray_trainer.py, block "DCPO"; 597358816/DCPO.
    Differs from that code: a = 0 without right rows, where it gives NaN; rho
    is bounded by e^20; the entropy is measured on the rollout, before the
    updates, where the authors measure it during them.
  """
  if not target_entropy >= 0:
    raise ValueError(f"dcpo.target_entropy = {target_entropy} must be >= 0.")
  if not temperature_low > 0:
    raise ValueError(f"dcpo.temperature_low = {temperature_low} must be > 0.")
  if not temperature_high >= temperature_low:
    raise ValueError(
      f"dcpo.temperature_high = {temperature_high} must be >= "
      f"temperature_low = {temperature_low}."
    )
  if not cap >= 0:
    raise ValueError(f"dcpo.cap = {cap} must be >= 0.")
  tempered = lambda t: Need(Logp(), when="rollout", view=View(temperature=t))
  colder, hotter = tempered(temperature_low), tempered(temperature_high)

  def init(example):
    del example
    return DcpoState(jnp.float32(initial_entropy))

  def prepare(batch, state, context):
    heats = state.entropy <= target_entropy
    logp = jnp.where(heats, context.stat(hotter), context.stat(colder))
    drift = logp - batch.old_logp
    rho = jnp.exp(reduce.clamp(drift, -MAX_LOG_RATIO, MAX_LOG_RATIO))
    live = batch.group >= 0
    right = (live & (batch.reward > threshold)).astype(jnp.float32)
    share = reduce.masked_mean(right, live)
    error = jnp.minimum(jnp.abs(target_entropy - state.entropy), cap)
    odds = jnp.where(share > 0, error / jnp.where(share > 0, share, 1.0), 0.0)
    strength = odds / (1 + odds)
    mixed = (1 - strength) * batch.advantages
    mixed = mixed + strength * right[:, None] * rho * batch.mask
    main = (batch.source == 0)[:, None]
    entropy = reduce.masked_mean(-batch.old_logp, batch.mask & main)
    metrics = {
      "dcpo/temperature": jnp.where(heats, temperature_high, temperature_low),
      "dcpo/strength": strength,
      "dcpo/right_fraction": share,
      "dcpo/entropy": entropy,
    }
    return batch.replace(
      advantages=jnp.where(live[:, None], mixed, batch.advantages),
      metrics=batch.metrics | metrics,
    ), DcpoState(entropy)

  return LossTransform(
    "dcpo", init, prepare=prepare, needs=tuple(dict.fromkeys((colder, hotter)))
  )
