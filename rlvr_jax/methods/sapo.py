"""SAPO: a smooth gate in place of the hard clip."""

import jax
import jax.numpy as jnp

from rlvr_jax.objective import ratio
from rlvr_jax.transform import LossTransform


def sapo(
  sharpness_positive: float = 1.0, sharpness_negative: float = 1.05
) -> LossTransform:
  """Lets the gradient of a token fade out as its ratio leaves one.

  loss_t = -A (4 / k) sigmoid(k (r - 1)), with k the sharpness for the sign of
  A. At r = 1 the slope is that of -A r; away from it the slope falls like the
  derivative of the sigmoid and never ends abruptly. Negative advantages push
  up all the tokens that were not sampled, hence the larger k. Published with
  the aggregation "seq-mean-token-mean". The bounds on the ratio are not read.

  Edits:   objective.surrogate (own)
  Needs:   nothing
  State:   none
  Scope:   token
  Neutral: none; on the policy that sampled, the gradient is that of PPO

  Args:
    sharpness_positive: k of tokens with A > 0, per unit of the ratio, > 0; 1.0.
    sharpness_negative: k of the other tokens, > 0; 1.05.

  Returns:
    A LossTransform named "sapo".

  Raises:
    ValueError: a sharpness that is not positive.

  Metrics:
    none

  Source:
    Gao et al., Soft Adaptive Policy Optimization, arXiv 2511.20347. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py, compute_policy_loss_sapo,
    tau_pos and tau_neg.
    Differs from that code: the aggregation has to be configured, there it is
    fixed.
  """
  given = {
    "sharpness_positive": sharpness_positive,
    "sharpness_negative": sharpness_negative,
  }
  for name, value in given.items():
    if not value > 0:
      raise ValueError(f"sapo.{name} = {value} must be > 0.")

  def surrogate(objective, context):
    del context
    positive = objective.advantages > 0
    k = jnp.where(positive, sharpness_positive, sharpness_negative)
    gate = jax.nn.sigmoid(k * (ratio(objective) - 1))
    return -objective.advantages * gate * 4 / k

  def apply(objective, state, context):
    del context
    return objective.replace(surrogate=surrogate), state

  return LossTransform("sapo", apply=apply, owns=("surrogate",))
