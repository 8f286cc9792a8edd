"""The rule by which figures of several seeds decide about a claim.

A part of a claim says that a figure lies above (or below) a bound. Its 95 %
interval over seeds is Student's t interval of the mean. The part is

  shown      if the whole interval lies on the claimed side of the bound,
  contrary   if the whole interval lies beyond the bound's size on the other,
  not shown  else.

A figure is mostly the difference between two arms of one seed; "above 0.1" is
contrary where the difference is below -0.1. A claim is shown if all its parts
are, and contrary if one of them is.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

from experiments.claiming.record import Part

Verdict = Literal["shown", "not shown", "contrary"]
CONFIDENCE = 0.95


class Interval(NamedTuple):
  """A mean over seeds with the ends of its interval."""

  mean: float
  low: float
  high: float


def interval(values: Sequence[float]) -> Interval:
  """Student's t interval of the mean.

  Args:
    values: one per seed.

  Raises:
    ValueError: fewer than two values, or one that is not finite.
  """
  x = np.asarray(values, np.float64)
  if x.size < 2 or not np.isfinite(x).all():
    raise ValueError(
      f"figures {list(values)} must be at least two and finite to give an "
      "interval; run more seeds, or measure what every run logs."
    )
  t = stats.t.ppf((1 + CONFIDENCE) / 2, x.size - 1)
  half = float(t * x.std(ddof=1) / np.sqrt(x.size))
  return Interval(float(x.mean()), float(x.mean() - half), x.mean() + half)


def verdict(part: Part, found: Interval) -> Verdict:
  """What an interval says about a part of a claim."""
  sign = 1 if part.side == "above" else -1
  low, high = sorted((sign * found.low, sign * found.high))
  if low > sign * part.bound:
    return "shown"
  return "contrary" if high < -abs(part.bound) else "not shown"


def together(verdicts: Collection[Verdict]) -> Verdict:
  """The verdict of a claim from those of its parts."""
  if "contrary" in verdicts:
    return "contrary"
  return "shown" if set(verdicts) == {"shown"} else "not shown"
