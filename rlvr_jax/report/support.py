"""Draws which problems training gained and lost, and what entropy did."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlvr_jax.analysis.support import SupportCounts, SupportRates
from rlvr_jax.report import style

# In the order of SupportCounts.
CELLS = {
  "kept": style.PALETTE[0],
  "gained": style.PALETTE[2],
  "lost": style.PALETTE[1],
  "out of reach": "#D4D7DB",
}
RATES = {
  "srr": "retention",
  "ndr": "discovery",
  "sds": "dynamic score",
  "nscr": "net change",
}
ROW = 0.42  # inches


class Support(NamedTuple):
  """One trained policy against its base, on the same problems."""

  counts: SupportCounts
  rates: SupportRates
  low: SupportRates  # ends of the interval
  high: SupportRates


class Entropies(NamedTuple):
  """Of one policy, means over problems, nats."""

  token: float
  answer: float


def support(found: Mapping[str, Support]) -> Figure:
  """Draws the shares of problems and the four rates, a row for each label.

  Args:
    found: label to its figures, at least one.

  Returns:
    The figure.
  """
  size = (2 * style.WIDE[0], 1.5 + ROW * len(found))
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  grid = {"width_ratios": [2, 1, 1, 1, 1]}
  shares, *panels = figure.subplots(1, 5, sharey=True, gridspec_kw=grid)
  _shares(shares, found)
  for axes, (name, title) in zip(panels, RATES.items()):
    _rate(axes, found, name)
    axes.set_title(title, fontsize=9)
  shares.set_yticks(range(len(found)), map(style.plain, found))
  shares.set_ylim(len(found) - 0.4, -0.6)
  style.legend(figure, CELLS)
  return figure


def _shares(axes: Axes, found: Mapping[str, Support]) -> None:
  for row, each in enumerate(found.values()):
    total, begin = max(1, sum(each.counts)), 0.0
    for count, colour in zip(each.counts, CELLS.values()):
      width = count / total
      axes.barh(row, width, 0.62, left=begin, color=colour)
      if width > 0.05:
        ink = "white" if colour != CELLS["out of reach"] else style.INK
        centre = begin + width / 2
        axes.text(
          centre, row, f"{count:,}", ha="center", va="center", color=ink
        )
      begin += width
  axes.set_xlim(0, 1)
  axes.grid(False)
  axes.set_title("problems, share", fontsize=9)


def _rate(axes: Axes, found: Mapping[str, Support], name: str) -> None:
  for row, each in enumerate(found.values()):
    ends = getattr(each.low, name), getattr(each.high, name)
    axes.plot(ends, (row, row), color=style.PALETTE[0], lw=1.6, alpha=0.5)
    axes.plot(getattr(each.rates, name), row, "o", color=style.PALETTE[0], ms=5)
  if name == "nscr":
    axes.axvline(0, color=style.MUTED, lw=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(3))
  else:
    axes.set_xlim(-0.05, 1.05)
    axes.set_xticks([0, 0.5, 1])
  axes.grid(axis="x")
  axes.grid(False, axis="y")
  axes.tick_params(labelsize=8)


def entropies(found: Mapping[str, Sequence[Entropies]]) -> Figure:
  """Draws answer-level against token-level entropy, arrows from first to last.

  Args:
    found: label to its policies in order, e.g. the base and the trained one.

  Returns:
    The figure.
  """
  figure, axes = style.new_axes(
    "Answers may narrow while tokens do not",
    "answer entropy, nats; ring: the first policy",
  )
  colours = style.colours(found)
  for label, points in found.items():
    x, y = np.array(points, np.float64).T
    axes.plot(x, y, color=colours[label], lw=1.2, alpha=0.6)
    axes.plot(x[1:], y[1:], "o", color=colours[label], ms=5)
    axes.plot(x[0], y[0], "o", mfc="white", mec=colours[label], ms=7)
    for start, end in zip(points[:-1], points[1:]):
      axes.annotate(
        "", end, start, arrowprops=dict(arrowstyle="->", color=colours[label])
      )
  axes.set_xlim(left=0)
  axes.set_ylim(bottom=0)
  axes.margins(0.08)
  axes.set_xlabel("token entropy, nats per token", loc="right")
  style.legend(figure, {style.plain(label): colours[label] for label in found})
  return figure
