"""One-shot RLVR: the three terms of the loss, each with a coefficient."""

import math

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy, Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

ENTROPY = Need(Entropy())
REF_LOGP = Need(Logp(), params=("ref",), when="rollout")


def one_shot_rlvr(
  policy_coef: float = 1.0, entropy_coef: float = 1e-3, kl_coef: float = 1e-3
) -> LossTransform:
  """Weighs policy loss, entropy and divergence against each other.

  loss per token = policy_coef surrogate - entropy_coef H + kl_coef k3, with H
  the entropy of the policy and k3 = exp(d) - d - 1, d = ref_logp - logp. On
  one training problem the entropy term goes on acting when every response is
  right. policy_coef = 0 trains on the entropy alone.

  Edits:   objective.weights (×), objective.added (+)
  Needs:   entropy of the policy at update; if kl_coef > 0 log-prob of ref at
           rollout
  State:   none
  Scope:   token
  Neutral: policy_coef = 1 with entropy_coef = kl_coef = 0

  Args:
    policy_coef: multiplies the policy loss, >= 0; 1, or 0 for entropy alone.
    entropy_coef: of the entropy, loss per nat, >= 0; 1e-3, 3e-3 is less
      stable.
    kl_coef: of the divergence from the reference, loss per nat, >= 0; 1e-3. 0
      needs no reference.

  Returns:
    A LossTransform named "one_shot_rlvr".

  Raises:
    ValueError: a coefficient below 0.

  Metrics:
    one_shot_rlvr/entropy: mean H of the counted tokens, nats.
    one_shot_rlvr/kl: mean of k3 of the counted tokens, nats; if kl_coef > 0.

  Source:
    Wang et al., Reinforcement Learning for Reasoning in Large Language Models
    with One Training Example, arXiv 2504.20571. Code:
    ypwang61/One-Shot-RLVR, verl/workers/actor/dp_actor.py. The choice of the
    problem is in analysis/data_selection.py.
    Differs from that code: d is bounded to 20 nats before the exponential,
    whose value is bounded to 10 as there.
  """
  given = {
    "policy_coef": policy_coef,
    "entropy_coef": entropy_coef,
    "kl_coef": kl_coef,
  }
  for name, value in given.items():
    if not 0 <= value < math.inf:
      raise ValueError(
        f"one_shot_rlvr.{name} = {value!r} must be >= 0 and finite."
      )

  def apply(objective, state, context):
    mean = lambda x: reduce.masked_mean(x, objective.mask)
    entropy = context.stat(ENTROPY)
    added = objective.added - entropy_coef * entropy
    metrics = {"one_shot_rlvr/entropy": mean(entropy)}
    if kl_coef:
      kl = reduce.k3(context.logp - context.stat(REF_LOGP))
      added = added + kl_coef * kl
      metrics["one_shot_rlvr/kl"] = mean(kl)
    return objective.replace(
      weights=objective.weights * policy_coef,
      added=added,
      metrics=objective.metrics | metrics,
    ), state

  needs = (ENTROPY, REF_LOGP) if kl_coef else (ENTROPY,)
  return LossTransform("one_shot_rlvr", apply=apply, needs=needs)
