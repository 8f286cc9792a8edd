"""Losses on whole responses that train an implicit reward.

A response has the reward r = beta * sum of its log-ratios, f32[...]; rewards
that are compared are of responses to the same prompt. Nothing here divides by
zero, and only r carries gradient.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array

log_sigmoid = jax.nn.log_sigmoid


class Responses(NamedTuple):
  """The responses of a rollout to learn from."""

  reward: Array  # f32[B] r
  label: Array  # f32[B] in [0, 1], how right they are
  group: Array  # i32[B] in [0, B); -1 joins no group
  counted: Array  # bool[B]


def cross_entropy(responses: Responses) -> Array:
  """f32[]: mean of -l log sigmoid(r) - (1 - l) log sigmoid(-r)."""
  r, label, _, counted = responses
  each = -label * log_sigmoid(r) - (1 - label) * log_sigmoid(-r)
  return reduce.masked_mean(each, counted)


def detached_dpo(responses: Responses, weighting: str = "none") -> Array:
  """DPO of each response against the mean reward of its opposites.

  The opposites of a response with l > 0 are those of its group with smaller
  labels, of one with l = 0 those with larger ones; their mean is held
  constant, and 0 if there are none.

  Args:
    responses: of the rollout.
    weighting: "none" for the mean over responses; "accuracy" and "reward" for
      the sum of n p^(n - 1) times the loss, with n responses in the group, p of
      which have a label (a reward) not above that of this one.

  Returns:
    f32[].
  """
  r, label, group, counted = responses
  held = jax.lax.stop_gradient(r)
  peers = (group[:, None] == group) & (group >= 0)[:, None] & counted
  rises = label > 0
  below, above = label < label[:, None], label > label[:, None]
  opposed = peers & jnp.where(rises[:, None], below, above)
  other = (opposed * held).sum(axis=1) / jnp.maximum(opposed.sum(axis=1), 1)
  each = -log_sigmoid((r - other) * jnp.where(rises, 1.0, -1.0))
  if weighting == "none":
    return reduce.masked_mean(each, counted)
  of = held if weighting == "reward" else label
  n = jnp.maximum(peers.sum(axis=1), 1)
  share = (peers & (of <= of[:, None])).sum(axis=1) / n
  weight = n * share ** (n - 1)
  return jnp.where(counted, weight * each, 0.0).sum()


def kto_baseline(reward: Array, counted: Array) -> Array:
  """f32[]: beta K, the mean reward where it is positive, held constant."""
  mean = reduce.masked_mean(reward, counted)
  return jax.lax.stop_gradient(jnp.maximum(mean, 0.0))


def kto(
  responses: Responses,
  baseline: Array,
  right_weight: float = 1.0,
  wrong_weight: float = 1.0,
) -> Array:
  """KTO of responses without partners.

  Args:
    responses: those with l > 0.5 are right.
    baseline: f32[] of `kto_baseline`, of any responses.
    right_weight: of 1 - sigmoid(r - baseline) of the right ones.
    wrong_weight: of 1 - sigmoid(baseline - r) of the others.

  Returns:
    f32[], the mean.
  """
  r, label, _, counted = responses
  right = label > 0.5
  weight = jnp.where(right, right_weight, wrong_weight)
  away = jnp.where(right, baseline - r, r - baseline)
  return reduce.masked_mean(weight * jax.nn.sigmoid(away), counted)


def nca(responses: Responses, alpha: float = 1.0) -> Array:
  """NCA of all responses to a prompt.

  -sum_i (softmax(l / alpha)_i log sigmoid(r_i) + log sigmoid(-r_i) / n).

  Args:
    responses: of the rollout.
    alpha: temperature of the labels, > 0.

  Returns:
    f32[], mean over groups.
  """
  r, label, group, counted = responses
  own = jnp.where(counted, group, -1)
  share = reduce.group_softmax(label / alpha, own, counted)
  even = counted / jnp.maximum(reduce.group_count(own), 1)
  each = -share * log_sigmoid(r) - even * log_sigmoid(-r)
  total = jnp.where(own >= 0, each, 0.0).sum()
  return total / jnp.maximum(reduce.group_total(own), 1)


def dpo(chosen: Array, rejected: Array) -> Array:
  """f32[]: mean of -log sigmoid(r_w - r_l) over pairs f32[N]."""
  return -log_sigmoid(chosen - rejected).mean()


def kto_pairs(chosen: Array, rejected: Array) -> Array:
  """f32[]: KTO of pairs f32[N], each side against the mean of the other.

  The two baselines carry gradient, as in the code of KTO's first form.
  """
  baseline = lambda r: reduce.clamp(r.mean(), 0.0, jnp.inf)
  right = jax.nn.sigmoid(baseline(rejected) - chosen)
  wrong = jax.nn.sigmoid(rejected - baseline(chosen))
  return jnp.concatenate([right, wrong]).mean()


def nca_pairs(chosen: Array, rejected: Array) -> Array:
  """f32[]: NCA of pairs f32[N] whose chosen response is surely the better."""
  both = log_sigmoid(-chosen) + log_sigmoid(-rejected)
  return -(log_sigmoid(chosen) + 0.5 * both).mean()


def _kto_of_rollout(responses: Responses) -> Array:
  return kto(responses, kto_baseline(responses.reward, responses.counted))


# What a learner may minimise on a rollout.
ONLINE: Mapping[str, Callable[[Responses], Array]] = {
  "ce": cross_entropy,
  "dpo": detached_dpo,
  "bon_acc": lambda responses: detached_dpo(responses, "accuracy"),
  "bon_rm": lambda responses: detached_dpo(responses, "reward"),
  "kto": _kto_of_rollout,
  "nca": nca,
}
