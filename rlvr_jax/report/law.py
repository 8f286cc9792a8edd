"""Draws reward against entropy with the fitted law R = -a exp(H) + b."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.analysis import entropy_law
from rlvr_jax.report import style
from rlvr_jax.report.runs import NO_POINTS, Groups, Run
from rlvr_jax.report.style import Colours


def law(groups: Groups, colours: Colours) -> Figure | None:
  """Draws reward against entropy with the fitted law of each label."""
  figure, axes = style.new_axes(
    "Reward bought with entropy", "reward; one point per step, ring: last step"
  )
  names = {}
  for label, runs in groups.items():
    points = [_points(run) for run in runs]
    points = [p for p in points if p.size]
    if points:
      text = _law(axes, points, colours[label])
      names[f"{style.plain(label)}   {text}".strip()] = colours[label]
  if not names:
    return None
  axes.set_xlabel("policy entropy (nats)", loc="right")
  style.legend(figure, names, columns=1)
  return figure


def _points(run: Run) -> np.ndarray:
  """Entropy and reward of the steps that logged both, float64[n, 2]."""
  at, entropy = run.metrics.get("policy/entropy", NO_POINTS)
  steps, reward = run.metrics.get("reward/mean", NO_POINTS)
  _, i, j = np.intersect1d(at, steps, return_indices=True)
  points = np.stack([entropy[i], reward[j]], axis=1)
  return points[np.isfinite(points).all(axis=1)]


def _law(axes: Axes, points: Sequence[np.ndarray], colour: str) -> str:
  for run in points:
    axes.scatter(*run.T, s=9, color=colour, alpha=0.35, linewidths=0)
    axes.scatter(*run[-1], s=46, color="white", edgecolors=colour, zorder=4)
  pooled = np.concatenate(points)
  try:
    fitted = entropy_law.fit(*pooled.T)
  except ValueError:
    return ""
  grid = np.linspace(pooled[:, 0].min(), pooled[:, 0].max(), 60)
  axes.plot(grid, entropy_law.predict(fitted, grid), color=colour)
  sign = "-" if fitted.a >= 0 else "+"
  return (
    f"$R = {fitted.b:.3f} {sign} {abs(fitted.a):.3f}\\,e^{{H}}$"
    f"   (rmse {fitted.rmse:.3f})"
  )
