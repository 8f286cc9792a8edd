"""Turns the runs of one label into one smoothed curve with its spread."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rlvr_jax.report.runs import Run, Series

# Shorter series are drawn as they are; smoothing them would invent a shape.
SHORTEST_SMOOTHED = 30
# Width of the smoothing window as a share of the series: 200 steps are
# averaged with a standard deviation of 4 steps.
SMOOTHING = 0.02


class Curve(NamedTuple):
  """A line with a band; all arrays have one entry per step."""

  steps: np.ndarray
  mean: np.ndarray  # over seeds, smoothed
  low: np.ndarray  # smallest of the seeds; equals mean for one seed
  high: np.ndarray
  raw: list[Series]  # unsmoothed values of each seed, empty if not smoothed
  seeds: int


def smooth(values: np.ndarray, spiky: bool = False) -> np.ndarray:
  """Returns a centred local line fit with Gaussian weights.

  Unlike a moving average it neither lags nor flattens the first and the last
  steps: a straight line comes back unchanged.

  Args:
    values: float[n], finite.
    spiky: take the median of five first, so that one spike stays one point of
      the raw line and does not become a hill of the smoothed one.

  Returns:
    float64[n]; `values` unchanged where the series is short.
  """
  values = np.asarray(values, np.float64)
  if len(values) < SHORTEST_SMOOTHED:
    return values
  if spiky:
    windows = sliding_window_view(np.pad(values, 2, mode="reflect"), 5)
    values = np.median(windows, axis=1)
  deviation = SMOOTHING * len(values)
  offset = np.arange(-np.ceil(3 * deviation), np.ceil(3 * deviation) + 1)
  kernel = np.exp(-0.5 * (offset / deviation) ** 2)
  moment = lambda x, power: np.correlate(x, kernel * offset**power, "same")
  w0, w1, w2 = (moment(np.ones(len(values)), power) for power in (0, 1, 2))
  v0, v1 = moment(values, 0), moment(values, 1)
  return (w2 * v0 - w1 * v1) / (w0 * w2 - w1**2)


def curve(
  runs: Sequence[Run], key: str, noisy: bool, spiky: bool = False
) -> Curve | None:
  """Returns the curve of one metric over the seeds of one label.

  At each step the mean and the range are over the seeds that logged it.

  Args:
    runs: seeds of one label; those without the metric are passed over.
    key: name of the metric.
    noisy: smooth each seed and keep its raw values.
    spiky: smooth as `smooth` does for series with spikes.

  Returns:
    A Curve, or None where no seed logged a finite value.
  """
  series = [_finite(run.metrics[key]) for run in runs if key in run.metrics]
  series = [(steps, values) for steps, values in series if len(steps)]
  if not series:
    return None
  steps = np.unique(np.concatenate([at for at, _ in series]))
  table = np.full((len(series), len(steps)), np.nan)
  for row, (at, values) in zip(table, series):
    row[np.searchsorted(steps, at)] = smooth(values, spiky) if noisy else values
  return Curve(
    steps,
    np.nanmean(table, axis=0),
    np.nanmin(table, axis=0),
    np.nanmax(table, axis=0),
    series if noisy and len(steps) >= SHORTEST_SMOOTHED else [],
    len(series),
  )


def _finite(series: Series) -> Series:
  steps, values = series
  return steps[np.isfinite(values)], values[np.isfinite(values)]


def tail_mean(run: Run, key: str, share: float) -> float | None:
  """Returns the mean of the last `share` of a metric, None where absent."""
  _, values = run.metrics.get(key, (None, np.zeros(0)))
  values = values[np.isfinite(values)]
  if not values.size:
    return None
  return float(values[-max(1, round(share * values.size)) :].mean())
