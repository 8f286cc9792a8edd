"""Draws how a model's uncertainty of the answer falls along solutions."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.analysis.reasoning_utility import Band
from rlvr_jax.report import style

COLOURS = {"right": style.PALETTE[2], "wrong": style.PALETTE[1]}
COLUMNS = 4
PANEL = (2.8, 2.1)  # inches


def utility(
  bands: Mapping[str, Mapping[str, Band]], what: str = "entropy"
) -> Figure:
  """Draws mean curves of right and wrong solutions, a panel for each source.

  Args:
    bands: source to "right" and "wrong", as far as there are such.
    what: is drawn: "entropy" or "cross-entropy" of the answer.

  Returns:
    The figure.
  """
  title = f"{what.capitalize()} of the right answer"
  unit = "nats per token of the answer"
  if len(bands) == 1:
    figure, axes = style.new_axes(title, unit)
    panels = [axes]
  else:
    figure, panels = _panels(len(bands), f"{title}: {unit}")
  for axes, (source, of) in zip(panels, bands.items()):
    _curves(axes, of)
    if len(bands) > 1:
      axes.set_title(style.plain(source), fontsize=9, pad=3)
  panels[-1].set_xlabel("share of the steps read", loc="right")
  told = [
    f"{sum(of[v].curves for of in bands.values() if v in of):,} {v}"
    for v in COLOURS
  ]
  style.legend(figure, dict(zip(told, COLOURS.values())))
  return figure


def _curves(axes: Axes, of: Mapping[str, Band]) -> None:
  for verdict, band in of.items():
    share, colour = np.linspace(0, 1, len(band.mean)), COLOURS[verdict]
    axes.plot(share, band.mean, color=colour)
    axes.fill_between(
      share, band.low, band.high, color=colour, alpha=0.13, lw=0
    )
  axes.set_xlim(0, 1)
  axes.set_ylim(bottom=0)


def _panels(count: int, title: str) -> tuple[Figure, list[Axes]]:
  columns = min(COLUMNS, count)
  rows = -(-count // columns)
  size = (PANEL[0] * columns, PANEL[1] * rows + 0.6)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
  panels = list(figure.subplots(rows, columns, squeeze=False).flat)
  for axes in panels:
    axes.tick_params(labelsize=7.5)
  for axes in panels[count:]:
    axes.set_visible(False)
  return figure, panels[:count]
