"""Draws metrics against the step: one line per label, faint raw values behind.

`None` in place of a figure means that no run logged its data.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from rlvr_jax.report import curves, style
from rlvr_jax.report.runs import Groups, Run, largest_k, target_entropy
from rlvr_jax.report.style import Colours

LineStyle = str | tuple[float, tuple[float, ...]]
DASHED = (0, (4, 1.6))
# A spike of this size over the median flattens a linear axis.
LOG_RATIO = 8


def lines(
  groups: Groups,
  colours: Colours,
  key: str,
  title: str,
  unit: str = "",
  *,
  noisy: bool = True,
  spiky: bool = False,
  targets: bool = False,
  small: bool = False,
) -> Figure | None:
  """Draws one metric of every label against the step.

  Args:
    groups: label to seeds.
    colours: label to colour.
    key: name of the metric.
    title: what is drawn.
    unit: unit and reading of the vertical axis.
    noisy: draw a smoothed line over the faint raw one.
    spiky: keep spikes out of the smoothed line, and take a logarithmic axis
      where they would flatten a linear one.
    targets: add the target entropy of each label that has one.
    small: quarter-page size without a legend.

  Returns:
    The figure, or None.
  """
  size = style.SMALL if small else style.WIDE
  figure, axes = style.new_axes(title, unit, size)
  drawn = [
    label
    for label, runs in groups.items()
    if add(axes, runs, key, colours[label], noisy, spiky=spiky)
  ]
  if not drawn:
    return None
  if targets:
    for label in drawn:
      mark_target(axes, groups[label], colours[label])
  if spiky:
    _log_where_spiky(axes)
  _step_axis(axes)
  if small:
    axes.set_xlabel("")
    axes.title.set_fontsize(9.5)
  else:
    style.legend(
      figure, {style.plain(label): colours[label] for label in drawn}
    )
  return figure


def add(
  axes: Axes,
  runs: Sequence[Run],
  key: str,
  colour: str,
  noisy: bool = True,
  *,
  spiky: bool = False,
  dash: LineStyle = "-",
) -> bool:
  """Draws one metric of the seeds of a label as a line with a band.

  Args:
    axes: to draw on.
    runs: seeds of one label.
    key: name of the metric.
    colour: of line and band.
    noisy: draw a smoothed line over the faint raw one.
    spiky: keep spikes out of the smoothed line.
    dash: of the line.

  Returns:
    Whether any of the runs logged the metric.
  """
  line = curves.curve(runs, key, noisy, spiky)
  if line is None:
    return False
  for raw in line.raw:
    alpha = 0.28 / np.sqrt(line.seeds)
    axes.plot(*raw, color=colour, alpha=alpha, linewidth=0.7)
  few = len(line.steps) < curves.SHORTEST_SMOOTHED
  axes.plot(
    line.steps,
    line.mean,
    color=colour,
    linestyle=dash,
    marker="o" if few else "",
    markersize=3.2,
  )
  low, high = line.low, line.high
  if line.seeds == 1:
    low, high = (_ends(runs, key + end, line) for end in ("_low", "_high"))
  axes.fill_between(line.steps, low, high, color=colour, alpha=0.13, lw=0)
  return True


def _ends(
  runs: Sequence[Run], key: str, line: curves.Curve
) -> np.ndarray | float:
  """One end of a single run's logged interval, else the line itself."""
  end = curves.curve(runs, key, noisy=False)
  return line.mean if end is None else np.interp(line.steps, *end[:2])


def mark_target(
  axes: Axes, runs: Sequence[Run], colour: str, text: bool = True
) -> None:
  """Draws a dotted line at the entropy that the runs aim at, if they do."""
  for target in {target_entropy(run) for run in runs} - {None}:
    axes.axhline(target, color=colour, linestyle=(0, (1, 1.5)), lw=1.4)
    if not text:
      continue
    axes.annotate(
      f"target {target:g}",
      (1, target),
      (-2, 5),
      xycoords=("axes fraction", "data"),
      textcoords="offset points",
      ha="right",
      fontsize=8.5,
      color=colour,
      path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _log_where_spiky(axes: Axes) -> None:
  values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
  values = values[np.isfinite(values)]
  positive = values.size and values.min() > 0
  if positive and values.max() > LOG_RATIO * np.median(values):
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _step_axis(axes: Axes) -> None:
  axes.set_xlabel("step", loc="right")
  axes.margins(x=0.01)
  axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
  # A spread of rounding errors is a constant and should look like one.
  low, high = axes.get_ylim()
  if axes.get_yscale() == "linear" and high - low < 1e-6 * abs(high):
    axes.set_ylim(low - 0.1 * abs(low) - 1e-3, high + 0.1 * abs(high) + 1e-3)


def pass_at_k(groups: Groups, colours: Colours) -> Figure | None:
  """Draws pass@1 solid and the largest pass@k dashed, with intervals."""
  k = largest_k([run for runs in groups.values() for run in runs], "pass")
  reading = f"solid: pass@1, dashed: pass@{k}" if k else "pass@1"
  figure, axes = style.new_axes("Problems solved", f"{reading}; share")
  drawn = {}
  for label, runs in groups.items():
    solid = add(axes, runs, "eval/pass@1", colours[label], noisy=False)
    name = f"eval/pass@{k}"
    dashed = add(axes, runs, name, colours[label], False, dash=DASHED)
    if solid or dashed:
      drawn[style.plain(label)] = colours[label]
  if not drawn:
    return None
  _step_axis(axes)
  style.legend(figure, drawn)
  return figure
