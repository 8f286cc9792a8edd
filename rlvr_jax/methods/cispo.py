"""CISPO: clipped importance weights, and a gradient for every token."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.objective import ratio
from rlvr_jax.transform import LossTransform


def cispo(low: float = 1.0, high: float = 4.0) -> LossTransform:
  """Clips the importance weight of REINFORCE instead of the objective.

  loss_t = -w A log pi with w = clip(r, 1 - low, 1 + high) held constant. A
  token whose ratio leaves the bounds loses weight but keeps its gradient,
  where PPO drops it; so rare tokens that open a new line of thought go on
  being learnt from.

  Edits:   objective.clip_low (own), objective.clip_high (own),
           objective.surrogate (own)
  Needs:   nothing
  State:   none
  Scope:   token
  Neutral: none; on the policy that sampled, the gradient is that of PPO

  Args:
    low: the weight is at least 1 - low, >= 0; from 1 on, as in the paper,
      there is no lower bound.
    high: the weight is at most 1 + high, >= 0; inf is no bound; 4 is
      epsilon_high = 5 in TRL, which bounds the ratio itself.

  Returns:
    A LossTransform named "cispo".

  Raises:
    ValueError: a bound below 0.

  Metrics:
    cispo/clipped_fraction: counted tokens whose ratio is outside the bounds.

  Source:
    MiniMax, MiniMax-M1, arXiv 2506.13585. Code: volcengine/verl,
    verl/trainer/ppo/core_algos.py, compute_policy_loss_cispo; huggingface/trl,
    grpo_trainer.py.
    Differs from that code: no difference, but for the bounds, which are those
    of the configuration in verl and the upper one alone in TRL.
  """
  for name, value in (("low", low), ("high", high)):
    if not value >= 0:
      raise ValueError(f"cispo.{name} = {value} must be >= 0.")

  def clipped(objective):
    return reduce.clamp(
      ratio(objective), objective.clip_low, objective.clip_high
    )

  def surrogate(objective, context):
    weight = jax.lax.stop_gradient(clipped(objective))
    logp = objective.log_ratio + context.batch.old_logp
    return -weight * objective.advantages * logp

  def apply(objective, state, context):
    del context
    objective = objective.replace(
      clip_low=jnp.full_like(objective.clip_low, max(1 - low, 0)),
      clip_high=jnp.full_like(objective.clip_high, 1 + high),
      surrogate=surrogate,
    )
    outside = clipped(objective) != ratio(objective)
    share = reduce.masked_mean(outside.astype(jnp.float32), objective.mask)
    metrics = objective.metrics | {"cispo/clipped_fraction": share}
    return objective.replace(metrics=metrics), state

  owns = ("clip_low", "clip_high", "surrogate")
  return LossTransform("cispo", apply=apply, owns=owns)
