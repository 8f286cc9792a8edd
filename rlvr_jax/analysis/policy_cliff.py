"""How abruptly the best policy follows the reward, and what softens it.

The map from rewards to the best policy jumps wherever several actions are best:
an arbitrarily small reward decides between them. With entropy, or the pull
towards a reference, of strength alpha the map is Lipschitz. An action may be a
whole response and its reward the expected one; noisy rewards of a sampled group
give a noisy count of the best. Distances of rewards are largest differences,
those of policies total variation.

Source: Xu, The Policy Cliff, arXiv 2507.20150. It has theory and no code; the
diagnostics are ours.
"""

from typing import NamedTuple

import numpy as np

from rlvr_jax.analysis import mirror_descent

# Actions whose subsets are all looked at.
MOST_ACTIONS = 20


class Degeneracy(NamedTuple):
  """Of rewards [..., A]; every array [...]."""

  best: np.ndarray  # int: actions within the tolerance of the best one
  entropy: np.ndarray  # nats, ln best: of the uniform policy over them
  gap: np.ndarray  # how far the others are below; inf if there are none


def degeneracy(rewards: np.ndarray, tolerance: float = 1e-6) -> Degeneracy:
  """Returns how many actions are best, and by how much.

  Args:
    rewards: float[..., A].
    tolerance: rewards this close to the largest are equal to it, >= 0.

  Returns:
    Degeneracy.
  """
  r = np.asarray(rewards, np.float64)
  top = r.max(axis=-1, keepdims=True)
  best = r >= top - tolerance
  count = best.sum(axis=-1)
  behind = np.where(best, np.inf, top - r)
  return Degeneracy(count, np.log(count), behind.min(axis=-1))


def cliff(rewards: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
  """Returns how far an arbitrarily small reward can move `flat_policy`.

  Args:
    rewards: float[..., A].
    tolerance: of `degeneracy`.

  Returns:
    float64[...] total variation, (m - 1) / m with m best actions; 0 for one.

  Source:
    2507.20150, propositions 2.4 and 2.5.
  """
  best = degeneracy(rewards, tolerance).best
  return (best - 1) / best


def flat_policy(rewards: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
  """Returns the uniform policy over the best actions, float64[..., A]."""
  r = np.asarray(rewards, np.float64)
  best = r >= r.max(axis=-1, keepdims=True) - tolerance
  return best / best.sum(axis=-1, keepdims=True)


def soft_policy(
  rewards: np.ndarray, alpha: float, ref_logp: np.ndarray | float = 0.0
) -> np.ndarray:
  """Returns the best policy under a bonus for entropy or a pull to another.

  Args:
    rewards: float[..., A].
    alpha: weight of the entropy, or of KL(policy || reference), > 0, unit of
      the reward per nat.
    ref_logp: float[..., A] log-probs of the reference; 0 for none.

  Returns:
    float64[..., A], softmax(rewards / alpha + ref_logp).

  Raises:
    ValueError: alpha out of range.
  """
  _check_alpha(alpha)
  return mirror_descent.policy(
    np.asarray(rewards, np.float64) / alpha + ref_logp
  )


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns half the sum of |p - q|, float64[...], of policies [..., A]."""
  apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
  return np.abs(apart).sum(axis=-1) / 2


def lipschitz_bound(
  alpha: float, gamma: float = 0.0, steps: float = np.inf
) -> float:
  """Returns how far the soft policy moves per unit of reward, at most.

  Args:
    alpha: of `soft_policy`.
    gamma: discount in [0, 1]; 0 for one decision, as a whole response is.
    steps: decisions left, this one included; inf for no end.

  Returns:
    Total variation per largest difference of rewards: 1 / (2 alpha) times
    sum_{t < steps} gamma^t, which is 1 / (1 - gamma) without an end and `steps`
    without a discount.

  Raises:
    ValueError: a number out of range, or no discount and no end.

  Source:
    2507.20150, proposition 4.5; the form with an end is ours.
  """
  _check_alpha(alpha)
  if not (0 <= gamma <= 1 and steps >= 1 and (gamma < 1 or steps < np.inf)):
    raise ValueError(
      f"`gamma` = {gamma} must lie in [0, 1] and `steps` = {steps} be >= 1; "
      "without a discount, gamma = 1, give the number of decisions left."
    )
  total = steps if gamma == 1 else (1 - gamma**steps) / (1 - gamma)
  return float(total / (2 * alpha))


def empirical_lipschitz(
  rewards: np.ndarray,
  alpha: float,
  seed: int,
  size: float = 1e-3,
  draws: int = 64,
) -> np.ndarray:
  """Returns how far random small rewards move the soft policy, at most.

  Args:
    rewards: float[..., A].
    alpha: of `soft_policy`.
    seed: of the random signs.
    size: of what is added to or taken from each reward, > 0.
    draws: combinations of signs, the same for all.

  Returns:
    float64[...] total variation per unit of reward, below `lipschitz_bound`.
  """
  r = np.asarray(rewards, np.float64)
  signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, r.shape[-1]))
  moved = soft_policy(r[..., None, :] + size * signs, alpha)
  still = soft_policy(r, alpha)[..., None, :]
  return total_variation(moved, still).max(axis=-1) / size


def local_lipschitz(rewards: np.ndarray, alpha: float) -> np.ndarray:
  """Returns how far the smallest rewards move the soft policy, at most.

  The worst direction adds to the rewards of some actions S and takes as much
  from the others, which moves 2 pi(S) (1 - pi(S)) / alpha of probability; the
  bound 1 / (2 alpha) is reached where S has half of it.

  Args:
    rewards: float[..., A] of at most `MOST_ACTIONS` actions, as 2^(A - 1)
      subsets are looked at.
    alpha: of `soft_policy`.

  Returns:
    float64[...] total variation per unit of reward.

  Raises:
    ValueError: more actions.
  """
  policy = soft_policy(rewards, alpha)
  actions = policy.shape[-1]
  if actions > MOST_ACTIONS:
    raise ValueError(
      f"`rewards` has {actions} actions; the subsets of at most {MOST_ACTIONS} "
      "are looked at. Take `empirical_lipschitz`."
    )
  # A set and what it leaves are the same: the last action is in none.
  mass = np.zeros((*policy.shape[:-1], 1))
  for action in range(actions - 1):
    mass = np.concatenate([mass, mass + policy[..., action, None]], axis=-1)
  return 2 * (mass * (1 - mass)).max(axis=-1) / alpha


def displacement(
  rewards: np.ndarray, direction: np.ndarray, sizes: np.ndarray, alpha: float
) -> np.ndarray:
  """Returns how far the best policy moves as a reward is added.

  Args:
    rewards: float[A].
    direction: float[A] what is added, times each of the sizes.
    sizes: float[N].
    alpha: of `soft_policy`; 0 for `flat_policy`, with ties taken exactly.

  Returns:
    float64[N] total variation from the policy where nothing is added.
  """
  r, sizes = np.asarray(rewards, np.float64), np.asarray(sizes, np.float64)
  moved = r + sizes[:, None] * np.asarray(direction, np.float64)
  best = lambda x: soft_policy(x, alpha) if alpha else flat_policy(x, 0.0)
  return total_variation(best(moved), best(r))


def _check_alpha(alpha: float) -> None:
  if not alpha > 0:
    raise ValueError(
      f"`alpha` = {alpha} must be > 0; `flat_policy` is the limit at 0."
    )
