"""The entropy of a response as a part of its reward."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

ENTROPY = Need(Entropy(), when="rollout")


def entropy_reward(coef: float = 1e-3) -> LossTransform:
  """Adds the mean entropy of a response to its reward.

  R' = R + coef mean_t H_t, H the entropy of the next-token distribution that
  the response was sampled from, without gradient. Against `entropy_bonus`,
  which moves the distribution itself, this makes responses likelier that came
  by uncertain steps. Stand before the estimator.

  Edits:   batch.reward (+)
  Needs:   entropy of the policy at rollout
  State:   none
  Scope:   sequence
  Neutral: coef = 0

  Args:
    coef: unit of the reward per nat, >= 0; 1e-3, verl's of the bonus.

  Returns:
    A LossTransform named "entropy_reward".

  Raises:
    ValueError: coef below 0.

  Metrics:
    entropy_reward/entropy: mean over the responses of mean_t H_t, nats.

  Source:
    Hou et al., Advancing Language Model Reasoning through Reinforcement
    Learning and Inference Scaling (T1), arXiv 2501.11651, as others retell it;
    the abstract has a term of the loss, `entropy_bonus`. The code, THUDM/T1,
    has no training.
    Differs from that code: there is none to compare with.
  """
  if not coef >= 0:
    raise ValueError(f"entropy_reward.coef = {coef} must be >= 0.")

  def prepare(batch, state, context):
    live = (batch.group >= 0) & batch.mask.any(axis=1)
    entropy = reduce.row_mean(context.stat(ENTROPY), batch.mask)
    added = jnp.where(live, coef * entropy, 0.0)
    metrics = {"entropy_reward/entropy": reduce.masked_mean(entropy, live)}
    return batch.replace(
      reward=batch.reward + added, metrics=batch.metrics | metrics
    ), state

  return LossTransform("entropy_reward", prepare=prepare, needs=(ENTROPY,))
