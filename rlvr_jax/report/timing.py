"""Draws where the seconds of a training step go."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.report import style
from rlvr_jax.report.runs import NO_POINTS, Groups, Run


def time_split(groups: Groups) -> Figure | None:
  """Draws the mean seconds of a step, by phase, as one bar per label."""
  parts = {label: phases(runs) for label, runs in groups.items()}
  parts = {label: split for label, split in parts.items() if split}
  if not parts:
    return None
  size = (style.WIDE[0], max(2.2, 1.5 + 0.42 * len(parts)))
  figure, axes = style.new_axes("Time of a step", "seconds, mean", size)
  axes.grid(False)
  longest = max(sum(split.values()) for split in parts.values())
  for row, split in enumerate(parts.values()):
    _bar(axes, row, split, longest)
  axes.set_yticks(range(len(parts)), map(style.plain, parts))
  axes.tick_params(axis="y", labelcolor=style.INK)
  axes.invert_yaxis()
  axes.set_xlim(0, 1.12 * longest)
  used = [
    p for p in style.PHASES if any(p in split for split in parts.values())
  ]
  style.legend(figure, {p: style.PHASES[p] for p in used}, columns=6)
  return figure


def _bar(
  axes: Axes, row: int, split: Mapping[str, float], longest: float
) -> None:
  left = 0.0
  for phase, seconds in split.items():
    axes.barh(
      row,
      seconds,
      left=left,
      height=0.62,
      color=style.PHASES[phase],
      edgecolor="white",
      linewidth=0.8,
    )
    if seconds > 0.1 * longest:
      middle = left + seconds / 2
      text = f"{seconds:#.2g}".rstrip(".")
      axes.text(middle, row, text, ha="center", va="center", size=8)
    left += seconds
  axes.text(
    left + 0.01 * longest, row, f"{left:.3g} s", va="center", weight="bold"
  )


def phases(runs: Sequence[Run]) -> dict[str, float]:
  """Returns mean seconds per step by phase, over the seeds of one label.

  The first step is left out where there are others: it holds compilation.
  "other" is what the step took beyond its phases.
  """
  splits = [split for split in map(_phases, runs) if split]
  names = [p for p in style.PHASES if any(p in split for split in splits)]
  return {
    p: float(np.mean([split.get(p, 0.0) for split in splits])) for p in names
  }


def _phases(run: Run) -> dict[str, float]:
  logged = [steps for steps, _ in run.metrics.values()]
  first = min((int(steps[0]) for steps in logged), default=0)
  count = max((int((steps > first).sum()) for steps in logged), default=0)
  split = {}
  for phase in (*style.PHASES, "step"):
    at, seconds = run.metrics.get(f"time/{phase}_seconds", NO_POINTS)
    if len(at):
      kept = seconds[at > first] if count else seconds
      # Evaluation runs on a few steps only; its cost is spread over all.
      split[phase] = float(np.nansum(kept) / max(1, count))
  whole = split.pop("step", None)
  if whole is not None:
    split["other"] = max(0.0, whole - sum(split.values()))
  return split
