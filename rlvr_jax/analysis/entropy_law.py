"""The law R = -a exp(H) + b, and what one policy step does to entropy.

H is the policy's entropy in nats, R the mean reward or accuracy. The law holds
over a run without entropy intervention; two numbers fitted on its first steps
give the ceiling b - a that is reached when the entropy is spent.

Source: Cui et al., The Entropy Mechanism of RL for Reasoning Language Models,
2505.22617, sections 2-3 and appendix E. No code was released for either part.
"""

from typing import NamedTuple

import numpy as np


class EntropyLaw(NamedTuple):
  """A fitted law R = -a exp(H) + b."""

  a: float  # reward bought per unit of exp(H)
  b: float  # intercept; the ceiling is b - a
  rmse: float  # root mean squared residual of the fit, in units of R


def fit(entropy: np.ndarray, reward: np.ndarray) -> EntropyLaw:
  """Fits the law by ordinary least squares of R on exp(H), in closed form.

  Args:
    entropy: float[K] nats, one per measurement.
    reward: float[K] mean reward at the same steps, as a fraction.

  Returns:
    EntropyLaw. Where all entropies lie close together, a and b are poorly
    determined; inside that range `predict` still is not.

  Raises:
    ValueError: lengths that differ, fewer than two points, a value that is not
      finite, or entropies that are all the same.

  Source:
    2505.22617, eq. 6 (the box that prints exp(H + b) is a typo).
  """
  h, r = np.asarray(entropy, np.float64), np.asarray(reward, np.float64)
  _check_points(h, r)
  x = np.exp(h)
  spread = x - x.mean()
  slope = float((spread * (r - r.mean())).sum() / (spread**2).sum())
  law = EntropyLaw(a=-slope, b=float(r.mean() - slope * x.mean()), rmse=0.0)
  return law._replace(rmse=rmse(law, h, r))


def _check_points(h: np.ndarray, r: np.ndarray) -> None:
  if h.ndim != 1 or h.shape != r.shape or h.size < 2:
    raise ValueError(
      f"`entropy` {h.shape} and `reward` {r.shape} must be one-dimensional, "
      "of one length and hold at least 2 points; log more steps."
    )
  if not (np.isfinite(np.exp(h)).all() and np.isfinite(r).all()):
    k = int(np.flatnonzero(~(np.isfinite(np.exp(h)) & np.isfinite(r)))[0])
    raise ValueError(
      f"point {k} (entropy {h[k]}, reward {r[k]}) is not finite; drop it."
    )
  if np.ptp(np.exp(h)) <= 1e-9 * np.exp(h).max():
    raise ValueError(
      f"all entropies are {h[0]:.6g} nats, so no slope can be fitted; the law "
      "needs a run whose entropy moves."
    )


def predict(law: EntropyLaw, entropy: np.ndarray) -> np.ndarray:
  """Returns the law's reward, float64 of the shape of `entropy` (nats)."""
  return law.b - law.a * np.exp(np.asarray(entropy, np.float64))


def ceiling(law: EntropyLaw) -> float:
  """Returns the reward that the law gives at zero entropy, b - a."""
  return law.b - law.a


def rmse(law: EntropyLaw, entropy: np.ndarray, reward: np.ndarray) -> float:
  """Returns the root mean squared error of the law on points not fitted."""
  return float(np.sqrt(np.mean((predict(law, entropy) - reward) ** 2)))


def entropy_change(policy: np.ndarray, logit_change: np.ndarray) -> np.ndarray:
  """Returns the first-order entropy change of a softmax policy, in nats.

  -Cov_{a~p}(ln p(a), dz(a)); the error is of second order in dz.

  Args:
    policy: float[..., A] probabilities over actions.
    logit_change: float[..., A] change of each logit.

  Returns:
    float64[...].

  Raises:
    ValueError: probabilities that are negative or do not add up to 1.

  Source:
    2505.22617, lemma 1.
  """
  p = np.asarray(policy, np.float64)
  if np.any(p < 0) or not np.allclose(p.sum(axis=-1), 1.0, atol=1e-5):
    raise ValueError(
      "`policy` must hold probabilities over its last axis; smallest entry "
      f"{p.min():.3g}, sums {p.sum(axis=-1)}. Apply a softmax first."
    )
  # An action of probability 0 adds nothing, but its logarithm is -inf.
  log_p = np.log(np.where(p > 0, p, 1.0))
  surprise = log_p - (p * log_p).sum(axis=-1, keepdims=True)
  return -(p * surprise * np.asarray(logit_change, np.float64)).sum(axis=-1)


def entropy_change_policy_gradient(
  policy: np.ndarray, advantages: np.ndarray, step_size: float
) -> np.ndarray:
  """Returns the entropy change of one exact policy-gradient step.

  Advantages are centred under the policy, as the exact softmax gradient does.

  Args:
    policy: float[..., A] probabilities over actions.
    advantages: float[..., A] advantage of each action.
    step_size: learning rate of the logits.

  Returns:
    float64[...] nats: -step_size Cov(ln p, p A).

  Source:
    2505.22617, theorem 1.
  """
  p, gain = np.asarray(policy, np.float64), np.asarray(advantages, np.float64)
  gain = gain - (p * gain).sum(axis=-1, keepdims=True)
  return entropy_change(p, step_size * p * gain)


def entropy_change_natural_gradient(
  policy: np.ndarray, advantages: np.ndarray, step_size: float
) -> np.ndarray:
  """Returns the entropy change of one natural-policy-gradient step.

  Args:
    policy: float[..., A] probabilities over actions.
    advantages: float[..., A] advantage of each action.
    step_size: learning rate; the logits move by step_size times advantage.

  Returns:
    float64[...] nats: -step_size Cov(ln p, A).

  Source:
    2505.22617, theorem 2.
  """
  gain = np.asarray(advantages, np.float64)
  return entropy_change(policy, step_size * gain)


def group_covariance(
  logp: np.ndarray,
  mask: np.ndarray,
  advantages: np.ndarray,
  group: np.ndarray,
  *,
  pi_factor: bool = True,
  ddof: int = 0,
) -> np.ndarray:
  """Returns each prompt's covariance of log-probability and advantage.

  A response is one action with the length-normalised log-probability
  l = mean_t logp; the covariance is of l and exp(l) A over the prompt's
  responses, those without a counted token left out. The paper plots the mean
  over prompts, also by accuracy.

  Args:
    logp: float[B, T] log-probability of each token in nats.
    mask: bool[B, T] true where a token counts.
    advantages: float[B] one advantage per response.
    group: int[B] prompt of each response.
    pi_factor: False takes A in place of exp(l) A (natural gradient).
    ddof: 0 divides by the group's size, 1 by its size less one.

  Returns:
    float64[P], one per distinct value of `group` that counts, ascending.

  Raises:
    ValueError: a group of at most `ddof` responses.

  Source:
    2505.22617, eq. 8-9. The paper leaves `pi_factor` and `ddof` open.
  """
  counted = np.asarray(mask, bool).any(axis=1)
  mask, group = np.asarray(mask, bool)[counted], np.asarray(group)[counted]
  logp = np.asarray(logp, np.float64)[counted]
  mean_logp = np.where(mask, logp, 0.0).sum(axis=1) / mask.sum(axis=1)
  gain = np.asarray(advantages, np.float64)[counted] * (
    np.exp(mean_logp) if pi_factor else 1.0
  )
  names, index, sizes = np.unique(
    group, return_inverse=True, return_counts=True
  )
  if np.any(sizes <= ddof):
    short = names[np.argmax(sizes <= ddof)]
    raise ValueError(
      f"group {short} has {sizes.min()} responses; `ddof` = {ddof} needs more."
    )
  mean = lambda x: np.bincount(index, x) / sizes
  return (
    (mean(mean_logp * gain) - mean(mean_logp) * mean(gain))
    * sizes
    / (sizes - ddof)
  )
