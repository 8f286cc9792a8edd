"""A penalty on the divergence from another policy, by any estimator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

REF_LOGP = Need(Logp(), params=("ref",), when="rollout")
EMA_LOGP = Need(Logp(), params=("ema",))
EMA_LOGP_BEFORE = Need(Logp(), params=("ema",), when="rollout")
ANCHORS = ("ref", "ema")
ESTIMATORS = ("k1", "k2", "k3", "abs", "k1+", "k3+")
MAX_ERROR = 0.2  # relative error of the divergence that counts


class KlPenaltyState(NamedTuple):
  """The coefficient in force, and that of the next step."""

  applied: Array  # f32[]
  coef: Array  # f32[]


def kl_penalty(
  coef: float = 1e-3,
  estimator: str = "k3",
  clamp: bool = True,
  target: float | None = None,
  horizon: float = 10_000.0,
  anchor: str = "ref",
) -> LossTransform:
  """Adds an estimate of KL(policy || anchor) to the loss of each token.

  With x = logp - anchor_logp at the sampled token:
    k1 = x,  k2 = x^2 / 2,  k3 = exp(-x) - 1 + x,  abs = |x|.
  k1 and k3 are unbiased as values, but the gradient of k1 has mean zero; the
  gradient of k2 is unbiased. "k1+" and "k3+" take the value of the one and
  the gradient of k2. With a target the coefficient is adapted: after a step of
  n responses whose divergence at rollout was e it is multiplied by
    1 + clip(e / target - 1, -0.2, 0.2) n / horizon.

  Edits:   objective.added (+)
  Needs:   log-prob of ref at rollout; with anchor = "ema" that of ema at
           update, and if target at rollout too
  State:   none; if target applied f32[] and coef f32[], set at prepare
  Scope:   token; the adapted coefficient is of the step
  Neutral: coef = 0

  Args:
    coef: weight of the penalty, loss per nat, >= 0; verl 1e-3, GRPO 0.04. The
      first one if adapted.
    estimator: "k1", "k2", "k3", "abs", "k1+" or "k3+".
    clamp: bound x to 20 nats and the value of k3 to 10 (verl); without it
      k3 overflows at -x = 88 nats (TRL).
    target: divergence to hold, nats per token, > 0; None for a fixed
      coefficient.
    horizon: responses after which a divergence 20 % off changes the coefficient
      by 20 %, > 0; 10000. Read with a target only.
    anchor: "ref", the policy that training began with, or "ema" (T1), the slow
      copy as the last update left it: config.train.ema_decay says how slow it
      is, config.train.ema_every how often it moves.

  Returns:
    A LossTransform named "kl_penalty".

  Raises:
    ValueError: an unknown estimator or anchor, or a number out of range.

  Metrics:
    kl_penalty/kl: mean of the estimate over counted tokens, nats.
    kl_penalty/coef: the coefficient in force; only if target.
    kl_penalty/measured: e, the mean over responses of their mean, nats; only
      if target.

  Source:
    Schulman, Approximating KL divergence, 2020; Shao et al., DeepSeekMath,
    arXiv 2402.03300, eq. 4. Adapted: Ziegler et al., arXiv 1909.08593. Moving
    anchor: Hou et al. (T1), arXiv 2501.11651, without code. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py, kl_penalty and
    AdaptiveKLController, which steers a penalty inside the reward there.
    Differs from that code: |d| below 1e-5 nats, the rounding between two
    passes of one policy, counts as 0 in "abs". Versions before 7e80ab0cf
    raise NotImplementedError for "k3+"; later ones compute it, as here.
  """
  if not coef >= 0:
    raise ValueError(f"kl_penalty.coef = {coef} must be >= 0.")
  if estimator not in ESTIMATORS:
    raise ValueError(
      f"kl_penalty.estimator = {estimator!r} must be one of {ESTIMATORS}."
    )
  if anchor not in ANCHORS:
    raise ValueError(f"kl_penalty.anchor = {anchor!r} must be in {ANCHORS}.")
  if target is not None and not target > 0:
    raise ValueError(f"kl_penalty.target = {target} must be > 0, or None.")
  if not horizon > 0:
    raise ValueError(f"kl_penalty.horizon = {horizon} must be > 0.")
  # The reference stands still: one pass over the rollout serves all updates.
  now, then = REF_LOGP, REF_LOGP
  if anchor == "ema":
    now, then = EMA_LOGP, EMA_LOGP_BEFORE

  def value(name, x):
    if name == "k1":
      return x
    if name == "k2":
      return 0.5 * x**2
    if name == "abs":
      return reduce.absolute(x, reduce.ROUNDING)
    return reduce.k3(x) if clamp else jnp.expm1(-x) + x

  def estimate(x):
    if not estimator.endswith("+"):
      return value(estimator, x)
    stop = jax.lax.stop_gradient
    slope = value("k2", x)
    return stop(value(estimator[:-1], x)) + (slope - stop(slope))

  def init(example):
    del example
    return KlPenaltyState(jnp.float32(coef), jnp.float32(coef))

  def prepare(batch, state, context):
    main = (batch.source == 0) & (batch.group >= 0)
    kl = estimate(batch.old_logp - context.stat(then))
    measured = reduce.masked_mean(reduce.row_mean(kl, batch.mask), main)
    error = jnp.clip(measured / target - 1, -MAX_ERROR, MAX_ERROR)
    following = state.coef * (1 + error * main.sum() / horizon)
    metrics = batch.metrics | {"kl_penalty/measured": measured}
    return batch.replace(metrics=metrics), KlPenaltyState(state.coef, following)

  def apply(record, state, context):
    kl = estimate(context.logp - context.stat(now))
    metrics = {"kl_penalty/kl": reduce.masked_mean(kl, record.mask)}
    weight = coef
    if target is not None:
      weight = metrics["kl_penalty/coef"] = state.applied
    added = record.added + weight * kl
    return record.replace(added=added, metrics=record.metrics | metrics), state

  fixed = LossTransform("kl_penalty", apply=apply, needs=(now,))
  if target is None:
    return fixed
  needs = tuple(dict.fromkeys((now, then)))
  return fixed._replace(init=init, prepare=prepare, needs=needs)
