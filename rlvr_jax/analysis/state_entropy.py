"""The entropy of visited states: its estimate, and what it protects against.

Source: Ashlag et al., State Entropy Regularization for Robust Reinforcement
Learning, 2506.07085. The estimator is that of Kozachenko and Leonenko.
"""

import math

import numpy as np

EULER = 0.5772156649015329


def nearest(points: np.ndarray, k: int) -> np.ndarray:
  """Returns the distance of each point to its k-th nearest other.

  Args:
    points: float[N, D].
    k: at least 1, below N.

  Returns:
    float64[N].

  Raises:
    ValueError: k out of range.
  """
  x = np.asarray(points, np.float64)
  if not 1 <= k < len(x):
    raise ValueError(f"`k` = {k} must lie in [1, {len(x)}), below the points.")
  # Row by row: all differences at once would need N x N x D numbers.
  return np.array(
    [np.sort(np.sqrt(((x - one) ** 2).sum(axis=1)))[k] for one in x]
  )


def knn_entropy(points: np.ndarray, k: int = 3) -> float:
  """Returns the entropy of the density that points were drawn from, in nats.

  (D / N) sum ln rho_k + ln(N - 1) - psi(k) + ln V_D, V_D the volume of the
  unit ball.

  Args:
    points: float[N, D], no k + 1 of them equal.
    k: which neighbour, in [1, N).

  Returns:
    A float; its standard error falls like 1 / sqrt(N).

  Raises:
    ValueError: k out of range, or equal points, whose entropy is -inf.
  """
  count, size = np.shape(points)
  distance = nearest(points, k)
  if not distance.all():
    raise ValueError(
      f"`points`: {int((distance == 0).sum())} of {count} equal their {k}-th "
      "neighbour; drop copies or take a larger `k`."
    )
  digamma = sum(1 / i for i in range(1, k)) - EULER
  ball = size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)
  mean = size * np.log(distance).mean()
  return float(mean + math.log(count - 1) - digamma + ball)


def entropy(visits: np.ndarray) -> float:
  """Returns -sum d ln d of float[S] probabilities, nats."""
  d = np.asarray(visits, np.float64)
  return float(-(d * np.log(np.where(d > 0, d, 1.0))).sum())


def distortion(reward: np.ndarray, other: np.ndarray, strength: float) -> float:
  """Returns ln sum_s exp((r - r') / strength), the size of a reward change.

  A reward belongs to the uncertainty set of radius epsilon if this is at most
  epsilon / strength + ln S.

  Args:
    reward: float[S] r.
    other: float[S] r'.
    strength: alpha > 0, unit of the reward.
  """
  x = (np.asarray(reward, np.float64) - np.asarray(other)) / strength
  return float(x.max() + np.log(np.exp(x - x.max()).sum()))


def worst_reward(
  reward: np.ndarray, visits: np.ndarray, strength: float, radius: float
) -> np.ndarray:
  """Returns the reward of the uncertainty set that the policy earns least of.

  r - alpha ln d - alpha ln S - epsilon: it falls where the policy goes most.

  Args:
    reward: float[S] expected reward of each state under the policy.
    visits: float[S] its state distribution, > 0.
    strength: alpha > 0.
    radius: epsilon.

  Returns:
    float64[S].
  """
  d = np.asarray(visits, np.float64)
  shift = strength * (np.log(d) + math.log(len(d))) + radius
  return np.asarray(reward, np.float64) - shift


def robust_value(
  reward: np.ndarray, visits: np.ndarray, strength: float, radius: float
) -> float:
  """Returns the least expected reward over the uncertainty set.

  E[r] + alpha (H(d) - ln S) - epsilon: maximising it is state entropy
  regularisation.

  Args:
    reward: float[S].
    visits: float[S] probabilities.
    strength: alpha > 0.
    radius: epsilon.

  Source:
    2506.07085, the duality of its main theorem.
  """
  mean = float(np.dot(visits, reward))
  return mean + strength * (entropy(visits) - math.log(len(visits))) - radius
