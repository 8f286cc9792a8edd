"""What a reward of several parts decides, and which part does.

Parts are weighted and added. Where the main part leaves responses equal, the
smallest other part alone ranks them; where a part is missing in training, its
worth is lost among the responses that training cannot tell apart. N groups of G
responses each.

Source: Xu, The Policy Cliff, arXiv 2507.20150, sections 3.1, 3.2 and on
mixtures of rewards. It has theory and no code; the diagnostics are ours.
"""

from typing import NamedTuple

import numpy as np


class TieBreaks(NamedTuple):
  """Groups in which the main part says nothing."""

  decided: np.ndarray  # bool[N]: there the other part ranks the responses
  share: float  # of the groups, in [0, 1]
  spread: np.ndarray  # float64[N] deviation of the other part after the group
  # is divided by its own, as GRPO does: 1 where it decides, however small


def effective_reward(weights: np.ndarray, rewards: np.ndarray) -> np.ndarray:
  """Returns the weighted sum of the parts.

  If no part changes by more than x, neither does the sum.

  Args:
    weights: float[..., K], >= 0 with sum 1; they may depend on the state.
    rewards: float[K, ..., A].

  Returns:
    float64[..., A].

  Raises:
    ValueError: weights that are negative or do not add up to 1.
  """
  w = np.asarray(weights, np.float64)
  if (w < 0).any() or not np.allclose(w.sum(axis=-1), 1):
    raise ValueError(
      f"`weights` = {w} must be >= 0 and add up to 1 over the last axis; "
      "divide by their sum."
    )
  parts = np.moveaxis(np.asarray(rewards, np.float64), 0, -1)
  return (w[..., None, :] * parts).sum(axis=-1)


def switch_points(
  rewards: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
  """Returns where two actions change places as the weights move.

  The weights are (1 - x) start + x end. Actions that are equal at the start
  part at x = 0: there any change of the weights decides.

  Args:
    rewards: float[K, A] parts of the reward of each action.
    start: float[K] weights as in `effective_reward`.
    end: float[K] the same.

  Returns:
    float64[A, A] the x in [0, 1] at which both actions have the same reward;
    NaN where there is none or where all x are.

  Raises:
    ValueError: weights that are negative or do not add up to 1.
  """
  before, after = (effective_reward(w, rewards) for w in (start, end))
  lead = before[:, None] - before
  turned = lead - (after[:, None] - after)
  x = np.divide(lead, turned, out=np.full_like(lead, np.nan), where=turned != 0)
  return np.where((x >= 0) & (x <= 1), np.abs(x), np.nan)


def tie_breaks(
  main: np.ndarray, other: np.ndarray, tolerance: float = 1e-6
) -> TieBreaks:
  """Returns in which groups a lesser part of the reward decides everything.

  Args:
    main: float[N, G], e.g. whether the answer is right.
    other: float[N, G] what is added, e.g. for length or format, with its
      weight.
    tolerance: rewards that differ by no more are equal, >= 0.

  Returns:
    TieBreaks.

  Raises:
    ValueError: shapes that do not fit.
  """
  main, other = _groups(main, other)
  decided = (np.ptp(main, axis=1) <= tolerance) & (np.ptp(other, axis=1) > 0)
  whole = (main + other).std(axis=1)
  spread = other.std(axis=1) / np.where(whole > 0, whole, 1.0)
  return TieBreaks(decided, float(decided.mean()), spread)


def slacker_score(
  train: np.ndarray, missing: np.ndarray, tolerance: float = 1e-6
) -> float:
  """Returns what training loses for lack of a part of the reward.

  Of the responses that are best in training, the best by the missing part
  earns this much more of it than the mean of them. Above 0 a policy that is
  optimal in training can be improved without costs.

  Args:
    train: float[N, G] rewards of training.
    missing: float[N, G] the part that it does not have.
    tolerance: of `tie_breaks`.

  Returns:
    Mean over groups, >= 0, unit of the missing part.

  Raises:
    ValueError: shapes that do not fit.

  Source:
    2507.20150, proposition 3.1.
  """
  train, missing = _groups(train, missing)
  best = train >= train.max(axis=1, keepdims=True) - tolerance
  top = np.where(best, missing, -np.inf).max(axis=1)
  mean = np.where(best, missing, 0.0).sum(axis=1) / best.sum(axis=1)
  return float((top - mean).mean())


def _groups(
  first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
  if first.ndim != 2 or first.shape != second.shape or not first.size:
    raise ValueError(
      f"rewards of shapes {first.shape} and {second.shape} must both be "
      "[groups, responses], at least one of each."
    )
  return first, second
