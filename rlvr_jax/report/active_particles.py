"""Figures of the entropy production of active particles."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from rlvr_jax.report import style

RATE = "nats per unit of time"
ESTIMATE, KNOWN = style.PALETTE[0], style.PALETTE[1]
_ARROWS = 13  # in each direction
# Contours that hold 39, 86 and 99 % of a Gaussian: 1, 2 and 3 deviations.
_CONTOURS = tuple(np.exp([-4.5, -2.0, -0.5]))
_SHADES = LinearSegmentedColormap.from_list("rate", ["#FFFFFF", ESTIMATE])


class Flow(NamedTuple):
  """A probability flow on a grid of X positions and G directions."""

  title: str
  x: np.ndarray  # f[X]
  g: np.ndarray  # f[G]
  velocity: np.ndarray  # f[G, X, 2] of x and g
  rate: np.ndarray  # f[G, X] local entropy production
  density: np.ndarray  # f[G, X] in units of its maximum


def against_speed(
  speeds: Sequence[float],
  estimates: Sequence[tuple[float, float, float]],
  line: tuple[np.ndarray, np.ndarray],
) -> Figure:
  """Draws estimated rates over the line of the closed form.

  Args:
    speeds: at which rates were estimated.
    estimates: mean and both ends of the interval for each.
    line: speeds and rates of the closed form.

  Returns:
    The figure.
  """
  figure, axes = style.new_axes("Entropy production of a swimmer", RATE)
  axes.plot(*line, color=KNOWN)
  mean, low, high = np.transpose(estimates)
  axes.errorbar(
    speeds,
    mean,
    [mean - low, high - mean],
    color=ESTIMATE,
    fmt="o",
    markersize=5,
    capsize=4,
    elinewidth=1.4,
    zorder=3,
  )
  axes.set_xticks(speeds)
  axes.set_xlabel("swimming speed (length / time)", loc="right")
  style.legend(
    figure, {"closed form": KNOWN, "from the learned score": ESTIMATE}
  )
  return figure


def flows(found: Sequence[Flow]) -> Figure:
  """Draws flows side by side on one scale of colour.

  Beyond three standard deviations of the density nothing is drawn: hardly a
  sample was there to learn from.
  """
  size = (3.3 * len(found) + 0.8, 3.5)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  panels = figure.subplots(1, len(found), sharex=True, sharey=True)
  panels = np.atleast_1d(panels)
  highest = max(_inside(flow, flow.rate).max() for flow in found)
  for axes, flow in zip(panels, found):
    mesh = _draw(axes, flow, float(highest))
  panels[0].set_ylabel("direction g")
  bar = figure.colorbar(mesh, ax=list(panels), shrink=0.9)
  bar.set_label(f"local rate ({RATE})")
  bar.outline.set_visible(False)
  return figure


def _draw(axes: Axes, flow: Flow, highest: float) -> QuadMesh:
  mesh = axes.pcolormesh(
    flow.x,
    flow.g,
    _inside(flow, flow.rate),
    cmap=_SHADES,
    vmin=0,
    vmax=highest,
    shading="nearest",
    rasterized=True,
  )
  axes.contour(
    flow.x,
    flow.g,
    flow.density,
    levels=_CONTOURS,
    colors=style.MUTED,
    linewidths=0.6,
  )
  _arrows(axes, flow)
  axes.grid(visible=False)
  axes.set_title(flow.title)
  axes.set_xlabel("position x", loc="right")
  return mesh


def _arrows(axes: Axes, flow: Flow) -> None:
  every = lambda n: slice(n // _ARROWS // 2, None, max(1, n // _ARROWS))
  rows, columns = every(len(flow.g)), every(len(flow.x))
  drift = [
    _inside(flow, flow.velocity[..., i])[rows, columns] for i in range(2)
  ]
  axes.quiver(
    flow.x[columns], flow.g[rows], *drift, color=style.INK, width=0.004
  )


def _inside(flow: Flow, values: np.ndarray) -> np.ma.MaskedArray:
  return np.ma.masked_where(flow.density < _CONTOURS[0], values)
