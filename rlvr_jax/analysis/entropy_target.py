"""Whether entropy stays where a method wants it, and what that is worth.

Of runs that differ in the entropy they aim at: how near each comes and when,
and the accuracy as a function of the target, which is said to rise first and
then fall.

Source: Wang et al., Arbitrary Entropy Policy Optimization, arXiv 2510.08141,
figure 1 and abstract; the figures here are ours.
"""

from typing import NamedTuple

import numpy as np


class Held(NamedTuple):
  """How the entropy of one run follows its target; entropies in nats."""

  mean: float  # over the last part
  spread: float  # standard deviation over the last part
  error: float  # mean of the last part less the target
  settled: int | None  # first place from which it stays near; None: never


class Peak(NamedTuple):
  """The target of the largest accuracy."""

  target: float  # nats
  accuracy: float
  rises: bool  # never falls with the target up to there, and is not the first
  falls: bool  # never rises from there on, and is not the last


def held(
  entropy: np.ndarray,
  target: float,
  last: float = 1 / 3,
  tolerance: float = 0.1,
) -> Held:
  """Returns how near a run comes to its target entropy.

  Args:
    entropy: float[N] nats, one per step, N >= 1.
    target: nats.
    last: share of the steps that count as the end, in (0, 1].
    tolerance: nats from the target that are near.

  Returns:
    Held.

  Raises:
    ValueError: no steps, or `last` out of range.
  """
  h = np.asarray(entropy, np.float64)
  if h.ndim != 1 or not h.size or not 0 < last <= 1:
    raise ValueError(
      f"`entropy` has shape {h.shape} and `last` = {last}; give one value per "
      "step, at least one, and a share in (0, 1]."
    )
  end = h[-max(1, round(last * h.size)) :]
  away = np.flatnonzero(~(np.abs(h - target) <= tolerance))
  first = int(away[-1]) + 1 if away.size else 0
  return Held(
    float(end.mean()),
    float(end.std()),
    float(end.mean() - target),
    first if first < h.size else None,
  )


def peak(targets: np.ndarray, accuracy: np.ndarray) -> Peak:
  """Returns the best target, and whether the accuracy rises and then falls.

  Args:
    targets: float[N] nats, all different, in any order, N >= 1.
    accuracy: float[N] at each; means over seeds.

  Returns:
    Peak; the smallest target of equals.

  Raises:
    ValueError: shapes that do not fit, or a target twice.
  """
  t, a = np.asarray(targets, np.float64), np.asarray(accuracy, np.float64)
  if t.ndim != 1 or t.shape != a.shape or not 0 < t.size == len(np.unique(t)):
    raise ValueError(
      f"`targets` {t.tolist()} and `accuracy` {a.tolist()} must be of one "
      "length, at least 1, and no target come twice; average over seeds first."
    )
  order = np.argsort(t)
  t, change, best = t[order], np.diff(a[order]), int(a[order].argmax())
  before, after = change[:best], change[best:]
  return Peak(
    float(t[best]),
    float(a.max()),
    bool(before.size and (before >= 0).all()),
    bool(after.size and (after <= 0).all()),
  )
