"""How much of the entropy of actions is entropy of what they lead to.

With the policy pi over A actions and P(s | a) over S outcomes of each, the
entropy of the outcome splits into that of the dynamics and the information
that the action carries about the outcome; the rest of the action's entropy is
redundant. For language models an action is a token or a response and the
outcome its final answer. All functions are differentiable.

Source: Baram et al., Action Redundancy in Reinforcement Learning, arXiv
2102.11329. No code was released; names and signs here are ours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


class Decomposition(NamedTuple):
  """Entropies in nats: outcome = model + information = model + action - rest.

  Each f[] or of the leading shape of the policy.
  """

  action: Array  # H(pi)
  outcome: Array  # H of the outcome, the transition entropy
  model: Array  # E_a H(P(. | a)); 0 if an action has one outcome
  information: Array  # I(action; outcome), the effective entropy
  redundancy: Array  # H(pi) - information = E_s H(action | outcome) >= 0


def _entropy(p: Array) -> Array:
  # An impossible event adds nothing, to the gradient neither.
  log_p = jnp.log(jnp.where(p > 0, p, 1.0))
  return -(p * log_p).sum(axis=-1)


def decompose(policy: Array, outcomes: Array) -> Decomposition:
  """Splits the entropy of the outcome.

  Args:
    policy: f[..., A] probabilities of the actions.
    outcomes: f[..., A, S] probabilities of the outcomes of each action.

  Returns:
    A Decomposition.
  """
  action = _entropy(policy)
  outcome = _entropy(_mixture(policy, outcomes))
  model = (policy * _entropy(outcomes)).sum(axis=-1)
  information = effective_entropy(policy, outcomes)
  return Decomposition(
    action, outcome, model, information, action - information
  )


def _mixture(policy: Array, outcomes: Array) -> Array:
  return (policy[..., None] * outcomes).sum(axis=-2)


def outcome_divergence(policy: Array, outcomes: Array) -> Array:
  """How far the outcomes of each action are from the average outcome.

  Args:
    policy: f[..., A] probabilities of the actions.
    outcomes: f[..., A, S] probabilities of the outcomes of each action.

  Returns:
    f[..., A] nats >= 0: KL(P(. | a) || sum_a pi(a) P(. | a)); inf for an
    action with pi = 0 that alone leads to some outcome.
  """
  mixture = jnp.broadcast_to(
    _mixture(policy, outcomes)[..., None, :], outcomes.shape
  )
  unreached = ((outcomes > 0) & (mixture <= 0)).any(axis=-1)
  # 1 avoids the log of 0, whose gradient is NaN even where it is left out.
  log_mixture = jnp.log(jnp.where(mixture > 0, mixture, 1.0))
  log_p = jnp.log(jnp.where(outcomes > 0, outcomes, 1.0))
  finite = (outcomes * (log_p - log_mixture)).sum(axis=-1)
  return jnp.where(unreached, jnp.inf, finite)


def effective_entropy(policy: Array, outcomes: Array) -> Array:
  """I(action; outcome), f[...] nats: the entropy that is not redundant.

  Args:
    policy: f[..., A] probabilities of the actions.
    outcomes: f[..., A, S] probabilities of the outcomes of each action.
  """
  divergence = outcome_divergence(policy, outcomes)
  # Infinite only for actions that are never taken.
  divergence = jnp.where(jnp.isinf(divergence), 0.0, divergence)
  return (policy * divergence).sum(axis=-1)


def effective_share(policy: Array, outcomes: Array) -> Array:
  """I(action; outcome) / H(pi), f[...] in [0, 1]; 0 for a certain policy.

  Args:
    policy: f[..., A] probabilities of the actions.
    outcomes: f[..., A, S] probabilities of the outcomes of each action.
  """
  entropy, information = _entropy(policy), effective_entropy(policy, outcomes)
  share = information / jnp.where(entropy > 0, entropy, 1.0)
  return jnp.where(entropy > 0, share, 0.0)


def class_entropy(policy: Array, label: Array, classes: int) -> Array:
  """Entropy of the summed probabilities of each class, f[] nats.

  Args:
    policy: f[A] probabilities of the actions.
    label: i32[A] class of each, in [0, classes).
    classes: how many classes there are.
  """
  return _entropy(jax.ops.segment_sum(policy, label, num_segments=classes))
