"""Draws what runs reach that aim at different entropies, and its worth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.analysis import entropy_target
from rlvr_jax.report import curves, style
from rlvr_jax.report.runs import NO_POINTS, Run, largest_k, target_entropy

LAST = 1 / 3  # of the steps, that count as the end


class Reached(NamedTuple):
  """What one run reached."""

  target: float | None  # nats; None: it aims at none
  # "entropy", nats, mean over the last part; as far as they were logged, the
  # last "pass@1" and "pass@<k>" of the largest k.
  figures: dict[str, float]


def reached(runs: Sequence[Run]) -> list[Reached]:
  """Returns what each run reached."""
  k = largest_k(runs, "pass")
  metrics = {"entropy": ("policy/entropy", LAST), "pass@1": ("eval/pass@1", 0)}
  if k:
    metrics[f"pass@{k}"] = (f"eval/pass@{k}", 0)
  found = []
  for run in runs:
    last = {n: curves.tail_mean(run, *which) for n, which in metrics.items()}
    known = {n: value for n, value in last.items() if value is not None}
    found.append(Reached(target_entropy(run), known))
  return found


def by_target(found: Sequence[Reached], name: str) -> dict[float, list[float]]:
  """Returns a figure by target, one value per seed, smallest target first.

  Args:
    found: of `reached`.
    name: of the figure.
  """
  table: dict[float, list[float]] = {}
  for target, figures in found:
    if target is not None and name in figures:
      table.setdefault(target, []).append(figures[name])
  return dict(sorted(table.items()))


def targets(runs: Sequence[Run]) -> Figure | None:
  """Draws entropy and accuracy against the target entropy.

  Points are means over seeds, bars their range; dashed lines are the means of
  the runs that aim at no entropy.

  Args:
    runs: of any methods.

  Returns:
    The figure, or None where no run aims at an entropy.
  """
  found = reached(runs)
  if not by_target(found, "entropy"):
    return None
  size = (2 * style.WIDE[0], style.WIDE[1])
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
  left, right = figure.subplots(1, 2)
  _points(left, found, "entropy", style.PALETTE[0])
  ends = np.array([0, max(by_target(found, "entropy"))]) * 1.05
  left.plot(ends, ends, color=style.MUTED, lw=1.0, ls=(0, (1, 1.5)), zorder=1)
  left.set_title(
    "Entropy reached: nats, last third of the steps; dotted: the target",
    fontsize=10,
  )
  names = dict.fromkeys(n for _, figures in found for n in figures)
  names.pop("entropy")
  shown = dict(zip(names, (style.PALETTE[2], style.PALETTE[4])))
  for name, colour in shown.items():
    _points(right, found, name, colour)
  right.set_title(
    "Problems solved: share; dashed: without a target", fontsize=10
  )
  for axes in (left, right):
    axes.set_xlim(ends)
    axes.set_xlabel("target entropy, nats", loc="right")
  left.set_ylim(bottom=0)
  style.legend(figure, {"entropy": style.PALETTE[0], **shown})
  return figure


def _points(
  axes: Axes, found: Sequence[Reached], name: str, colour: str
) -> None:
  table = by_target(found, name)
  mean = [np.mean(values) for values in table.values()]
  axes.plot(list(table), mean, color=colour, marker="o", ms=4)
  for target, values in table.items():
    axes.plot([target] * 2, [min(values), max(values)], color=colour, lw=1.2)
  free = [
    figures[name]
    for target, figures in found
    if target is None and name in figures
  ]
  if free:
    axes.axhline(np.mean(free), color=colour, ls=(0, (4, 1.6)), lw=1.2)


def held(runs: Sequence[Run]) -> dict[str, list[entropy_target.Held]]:
  """Returns how each run with a target follows it, by label."""
  found: dict[str, list[entropy_target.Held]] = {}
  for run in runs:
    target = target_entropy(run)
    _, entropy = run.metrics.get("policy/entropy", NO_POINTS)
    if target is not None and entropy.size:
      line = entropy_target.held(entropy, target, LAST)
      found.setdefault(run.label, []).append(line)
  return found


def best(
  runs: Sequence[Run], name: str = "pass@1"
) -> entropy_target.Peak | None:
  """Returns the best target; None where no run with a target has the figure.

  Args:
    runs: of any methods.
    name: of the accuracy; means over seeds count.
  """
  table = by_target(reached(runs), name)
  if not table:
    return None
  means = [np.mean(values) for values in table.values()]
  return entropy_target.peak(list(table), means)
