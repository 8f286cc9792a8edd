"""The divergence from another policy as a part of the reward."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

ANCHORS = ("ref", "ema")


def kl_reward(coef: float = 1e-3, anchor: str = "ref") -> LossTransform:
  """Takes what a response says less about the anchor out of its reward.

  R' = R - coef sum_t (log pi_old - log pi_anchor) at the sampled tokens, the
  estimate k1 of KL(policy || anchor) over whole responses, without gradient.
  Against `kl_penalty` the estimator's baseline is subtracted from it too, and
  its gradient is that of the divergence. Stand before the estimator.

  Edits:   batch.reward (+)
  Needs:   log-prob of ref, or with anchor = "ema" of ema, at rollout
  State:   none
  Scope:   sequence
  Neutral: coef = 0

  Args:
    coef: unit of the reward per nat, >= 0; 1e-3.
    anchor: "ref", the policy that training began with, or "ema", the slow copy
      that config.train.ema_decay keeps.

  Returns:
    A LossTransform named "kl_reward".

  Raises:
    ValueError: coef below 0, or an unknown anchor.

  Metrics:
    kl_reward/kl: mean over the responses of the sum over their tokens, nats.

  Source:
    Ziegler et al., Fine-Tuning Language Models from Human Preferences, arXiv
    1909.08593, equation 2; with a moving anchor: Hou et al. (T1), arXiv
    2501.11651. Code: volcengine/verl, verl/trainer/ppo/ray_trainer.py,
    apply_kl_penalty.
    Differs from that code: a reward is of a response here, so its tokens' are
    summed up, as GRPO and RLOO do there; an estimator with a discount or a
    critic would want them at their places. The coefficient is fixed, and the
    estimator k1.
  """
  if not coef >= 0:
    raise ValueError(f"kl_reward.coef = {coef} must be >= 0.")
  if anchor not in ANCHORS:
    raise ValueError(f"kl_reward.anchor = {anchor!r} must be in {ANCHORS}.")
  there = Need(Logp(), params=(anchor,), when="rollout")

  def prepare(batch, state, context):
    live = (batch.group >= 0) & batch.mask.any(axis=1)
    apart = jnp.where(batch.mask, batch.old_logp - context.stat(there), 0)
    kl = jnp.where(live, apart.sum(axis=1), 0.0)
    metrics = {"kl_reward/kl": reduce.masked_mean(kl, live)}
    return batch.replace(
      reward=batch.reward - coef * kl, metrics=batch.metrics | metrics
    ), state

  return LossTransform("kl_reward", prepare=prepare, needs=(there,))
