"""Figures of more labels than a legend can tell apart.

Each label gets a small panel of its own, all on the same axes, before the
faint lines of the others; the first label is the one to compare with.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.report import curves, style
from rlvr_jax.report.lines import mark_target
from rlvr_jax.report.runs import Groups, Run
from rlvr_jax.report.style import Colours

COLUMNS = 6
PANEL = (1.9, 1.35)  # inches
OTHERS, FIRST = "#D4D7DB", style.INK


def multiples(
  groups: Groups,
  colours: Colours,
  key: str,
  title: str,
  unit: str,
  *,
  noisy: bool = True,
  targets: bool = False,
) -> Figure | None:
  """Draws one metric against the step, one panel per label.

  Args:
    groups: label to seeds; the first with the metric is dark in every panel.
    colours: label to colour.
    key: name of the metric.
    title: what is drawn.
    unit: unit and reading of the vertical axis.
    noisy: draw smoothed lines.
    targets: add the target entropy of each label that has one.

  Returns:
    The figure, or None where no run logged the metric.
  """
  found = {
    label: curves.curve(runs, key, noisy) for label, runs in groups.items()
  }
  found = {label: line for label, line in found.items() if line is not None}
  if not found:
    return None
  figure, panels = _panels(len(found), title, unit)
  first = next(iter(found))
  for axes, (label, line) in zip(panels, found.items()):
    for other in found.values():
      axes.plot(other.steps, other.mean, color=OTHERS, lw=0.6, zorder=1)
    if label != first:
      axes.plot(*found[first][:2], color=FIRST, lw=0.9, zorder=2)
    axes.plot(*line[:2], color=colours[label], lw=2.0, zorder=3)
    axes.fill_between(
      line.steps, line.low, line.high, color=colours[label], alpha=0.2, lw=0
    )
    if targets:
      mark_target(axes, groups[label], colours[label], text=False)
    size = min(8.0, 200 / len(label))  # a long name must not reach the next
    axes.set_title(style.plain(label), fontsize=size, pad=3)
  return figure


def _panels(count: int, title: str, unit: str) -> tuple[Figure, list[Axes]]:
  columns = min(COLUMNS, count)
  rows = -(-count // columns)
  size = (PANEL[0] * columns, PANEL[1] * rows + 0.5)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(
    f"{title}: {unit}", x=0.01, ha="left", fontsize=10.5, weight="bold"
  )
  grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
  panels = list(grid.flat)
  for axes in panels:
    axes.tick_params(labelsize=7)
  for axes in panels[count:]:
    axes.set_visible(False)
  return figure, panels


ENDS = {
  "eval/distinct_right": "distinct right answers",
  "eval/pass@1": "pass@1",
  "policy/entropy": "entropy, nats",
}
ROW = 0.17  # inches


def outcomes(groups: Groups, colours: Colours) -> Figure | None:
  """Draws where the labels end, one row each, most distinct answers first.

  Args:
    groups: label to seeds; a thin line marks the first label.
    colours: label to colour.

  Returns:
    The figure, or None where no run was evaluated.
  """
  ends = {
    label: [_end(runs, key) for key in ENDS] for label, runs in groups.items()
  }
  ends = {label: values for label, values in ends.items() if None not in values}
  if not ends:
    return None
  order = sorted(ends, key=lambda label: ends[label][0])
  size = (2 * style.WIDE[0], 1.0 + ROW * len(order))
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  panels = figure.subplots(1, len(ENDS), sharey=True)
  first = next(iter(groups))
  for column, (axes, title) in enumerate(zip(panels, ENDS.values())):
    if first in ends:
      axes.axvline(ends[first][column], color=FIRST, lw=0.8, zorder=1)
    for row, label in enumerate(order):
      value = ends[label][column]
      axes.plot(value, row, "o", color=colours[label], markersize=5, zorder=3)
    axes.hlines(
      range(len(order)), *axes.get_xlim(), style.RULE, lw=0.6, zorder=0
    )
    axes.grid(False)
    axes.set_title(title, fontsize=9.5)
    axes.tick_params(labelsize=8)
  panels[0].set_yticks(range(len(order)), map(style.plain, order), fontsize=8)
  panels[0].set_ylim(-0.7, len(order) - 0.3)
  return figure


def _end(runs: Sequence[Run], key: str) -> float | None:
  """Mean over seeds of the last value."""
  last = (curves.tail_mean(run, key, 0) for run in runs)
  known = [value for value in last if value is not None]
  return float(np.mean(known)) if known else None
