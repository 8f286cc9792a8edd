"""REINFORCE: the log-likelihood times the advantage, with no ratio."""

from rlvr_jax.transform import LossTransform


def reinforce() -> LossTransform:
  """Replaces the surrogate by the plain policy gradient.

  loss_t = -A log pi. There is neither a ratio nor a bound, so every update
  pulls a token by its advantage however far the policy has moved since the
  rollout: one update per rollout is the intended use. It leaves the advantages
  to another method, and weights of a rollout correction multiply the loss.

  Edits:   objective.surrogate (own)
  Needs:   nothing
  State:   none
  Scope:   token
  Neutral: none; on the policy that sampled, the gradient is that of PPO

  Returns:
    A LossTransform named "reinforce".

  Metrics:
    none

  Source:
    Williams, Simple statistical gradient-following algorithms, Machine
    Learning 8, 1992. Code: volcengine/verl, verl/trainer/ppo/core_algos.py,
    loss type "reinforce" of the rollout correction.
    Differs from that code: the weight exp(log pi - log pi_rollout) that it
    multiplies in its bypass mode is not part of this method.
  """

  def surrogate(objective, context):
    logp = objective.log_ratio + context.batch.old_logp
    return -objective.advantages * logp

  def apply(objective, state, context):
    del context
    return objective.replace(surrogate=surrogate), state

  return LossTransform("reinforce", apply=apply, owns=("surrogate",))
