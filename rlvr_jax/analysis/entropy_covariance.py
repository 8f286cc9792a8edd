"""Whether the covariance of a step says how far the entropy will fall in it.

Source: Cui et al., The Entropy Mechanism of RL for Reasoning Language Models,
arXiv 2505.22617, section 3.3: under GRPO the covariance of log-probability and
advantage within prompts follows the fall of the entropy, and easy prompts have
the largest.
"""

from typing import NamedTuple

import numpy as np

from rlvr_jax.analysis.token_change import score
from rlvr_jax.types import Array

Series = tuple[np.ndarray, np.ndarray]  # steps int[n], values float[n]


class Track(NamedTuple):
  """Covariance and fall of the entropy side by side; float64[n] each."""

  steps: np.ndarray
  covariance: np.ndarray  # mean over the window, advantage times nats
  fall: np.ndarray  # H_k - H_{k+window}, nats
  pearson: float  # correlation of the two; NaN where either does not vary
  spearman: float  # that of the ranks


def follow(covariance: Series, entropy: Series, window: int = 1) -> Track:
  """Lays the covariance of each step beside the fall of the entropy after it.

  Args:
    covariance: of each step, such as the metric `covariance/prompt`.
    entropy: of each step, nats, such as `policy/entropy`. It is of the rollout
      that the step learns from, and so of the policy before it.
    window: steps that are taken together, as single ones are noisy.

  Returns:
    A Track of the steps k for which the window from k on and the entropy at
    its end are known; windows overlap.

  Raises:
    ValueError: fewer than two such steps.
  """
  known = {name: _finite(x) for name, x in [("c", covariance), ("h", entropy)]}
  steps, rows = [], []
  for step in known["c"]:
    inside = [known["c"].get(step + i) for i in range(window)]
    ends = known["h"].get(step), known["h"].get(step + window)
    if None not in (*inside, *ends):
      steps.append(step)
      rows.append((np.mean(inside), ends[0] - ends[1]))
  if len(rows) < 2:
    raise ValueError(
      f"{len(rows)} steps have a covariance and entropies `window` = {window} "
      "steps apart, but at least 2 are needed; take a longer run or a shorter "
      "window."
    )
  x, y = np.array(rows).T
  found = score(x, y, np.ones(len(x), bool))
  return Track(np.array(steps), x, y, found.pearson, found.spearman)


def _finite(series: Series) -> dict[int, float]:
  return {int(k): float(v) for k, v in zip(*series) if np.isfinite(v)}


def classes(accuracy: Array | np.ndarray) -> dict[str, Array | np.ndarray]:
  """Tells hard, middling and easy prompts apart, as bool[...] by name.

  Of eight responses one, two to six, or seven are right. A prompt that is
  always or never solved has no advantages and is in no class.

  Args:
    accuracy: f[...] share of right responses.
  """
  return {
    "hard": (accuracy > 0) & (accuracy < 0.25),
    "middle": (accuracy >= 0.25) & (accuracy <= 0.75),
    "easy": (accuracy > 0.75) & (accuracy < 1),
  }


def by_accuracy(
  covariance: np.ndarray, accuracy: np.ndarray
) -> dict[str, float]:
  """Returns the mean covariance of each of the `classes` of prompts.

  Args:
    covariance: float[P], such as `entropy_law.group_covariance`.
    accuracy: float[P] share of right responses of the same prompts.

  Returns:
    Mean by class; NaN where there is no such prompt.
  """
  value = np.asarray(covariance)
  return {
    name: float(value[inside].mean()) if inside.any() else float("nan")
    for name, inside in classes(np.asarray(accuracy)).items()
  }
