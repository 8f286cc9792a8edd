"""Figures of one run that several claims measure."""

import numpy as np

from rlvr_jax.report import curves
from rlvr_jax.report.runs import Run

ENTROPY = "policy/entropy"


def late(run: Run, key: str = ENTROPY) -> float:
  """The mean of a metric over the last third of the steps."""
  return curves.tail_mean(run, key, 1 / 3)


def last(run: Run, key: str) -> float:
  """The last value of a metric, as of the evaluation after the last step."""
  return float(run.metrics[key][1][-1])


def first(run: Run, key: str) -> float:
  """The first value of a metric; evaluations begin after the first step."""
  return float(run.metrics[key][1][0])


def windows(run: Run, key: str, count: int) -> np.ndarray:
  """Means over equal stretches of the steps, float64[count]."""
  return np.array(
    [x.mean() for x in np.array_split(run.metrics[key][1], count)]
  )
