"""Figures that claims share, in the style of the reports."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.claiming import rule
from experiments.claiming.figures import last
from experiments.claiming.record import AllFigures, Draw
from rlvr_jax.report import lines, style
from rlvr_jax.report.runs import Groups


def entropy(title: str) -> Draw:
  """Draws the policy entropy of every arm against the step."""
  return curves("policy/entropy", title, "nats per token", targets=True)


def curves(key: str, title: str, unit: str, **options: bool) -> Draw:
  """Draws a metric of every arm against the step; options as of `lines`."""

  def draw(groups: Groups, figures: AllFigures) -> Figure:
    del figures
    colours = style.colours(groups)
    return lines.lines(groups, colours, key, title, unit, **options)

  return draw


def points(
  title: str,
  unit: str,
  places: Sequence[str],
  values: Mapping[str, Sequence[rule.Interval]],
) -> Figure:
  """Draws intervals side by side at named places.

  Args:
    title: what is drawn.
    unit: unit and reading of the vertical axis.
    places: names along the horizontal axis.
    values: text of the legend -> one interval per place.
  """
  figure, axes = style.new_axes(title, unit)
  colours = style.colours(values)
  for number, (name, intervals) in enumerate(values.items()):
    at = np.arange(len(places)) + 0.16 * (number - (len(values) - 1) / 2)
    mean, low, high = np.array(intervals).T
    ends = mean - low, high - mean
    axes.errorbar(at, mean, ends, fmt="o", color=colours[name])
  axes.set_xticks(range(len(places)), places)
  axes.margins(x=0.08)
  style.legend(figure, colours)
  return figure


def pass_at(groups: Groups, ks: Sequence[int], title: str) -> Figure:
  """Draws pass@k of the last evaluation against k, a line per arm."""
  figure, axes = style.new_axes(title, "share, 95 % interval over seeds")
  colours = style.colours(groups)
  for name, runs in groups.items():
    found = [
      rule.interval([last(run, f"eval/pass@{k}") for run in runs]) for k in ks
    ]
    mean, low, high = np.array(found).T
    axes.plot(ks, mean, color=colours[name], marker="o", markersize=3.2)
    axes.fill_between(ks, low, high, color=colours[name], alpha=0.13, lw=0)
  axes.set_xscale("log", base=2)
  axes.set_xticks(ks, map(str, ks))
  axes.set_xlabel("tries k", loc="right")
  style.legend(figure, colours)
  return figure
