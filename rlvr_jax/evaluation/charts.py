"""Figures of an evaluation, in the style of the training report."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from rlvr_jax.evaluation import figures
from rlvr_jax.evaluation.figures import Row
from rlvr_jax.evaluation.records import Record
from rlvr_jax.report import style
from rlvr_jax.report.plots import Plot
from rlvr_jax.report.style import Colours

WIDTH, HEIGHT = 2 * style.WIDE[0], 1.85  # inches, of a row of panels
COLUMNS = 4
RIGHT, WRONG = "#009E73", "#D55E00"
BINS = 24


def charts(
  records: Sequence[Record], table: dict[str, Row], colours: Colours
) -> list[Plot]:
  """Draws the figures of the page.

  Args:
    records: of the evaluation.
    table: `figures.table` of them.
    colours: source to colour.

  Returns:
    Plots in reading order.
  """
  of = {
    source: [r for r in records if r.source == source] for source in colours
  }
  with style.context():
    drawn = (
      _pass_curves(table, colours),
      _panels(
        "How often problems are solved",
        "share of problems",
        of,
        lambda axes, its, source: _solved(axes, its, colours[source]),
      ),
      _panels(
        "Length of right and wrong responses",
        "share of each against tokens",
        of,
        lambda axes, its, _: _lengths(axes, its),
        {"right": RIGHT, "wrong": WRONG},
      ),
    )
    return [
      Plot(*told, style.png(figure)) for told, figure in zip(_TOLD, drawn)
    ]


_TOLD = (
  (
    "pass-at-k",
    "Problems solved within k samples",
    "Where a line still climbs, more samples find what the first one misses: "
    "room for training to sharpen. Bands are 95 % intervals over problems.",
  ),
  (
    "accuracy",
    "How often problems are solved",
    "The outermost bars, paler, are problems never and always solved: reward "
    "that is the same for all samples teaches nothing.",
  ),
  (
    "length",
    "Length of right and wrong responses",
    "Wrong responses that pile up at the right edge were cut by the length "
    "limit; a longer one may turn them.",
  ),
)


def _pass_curves(table: dict[str, Row], colours: Colours) -> Figure:
  size = (WIDTH, style.WIDE[1]) if len(colours) > 1 else style.WIDE
  figure, axes = style.new_axes(
    "Problems solved within k samples", "pass@k, share of problems", size
  )
  lines = dict(colours)
  if figures.MEAN in table:
    lines[figures.MEAN] = style.INK
  for source, colour in lines.items():
    row = {
      int(name.removeprefix("pass@")): figure
      for name, figure in table[source].items()
      if name.startswith("pass@")
    }
    ks, points = list(row), np.array([f[:3] for f in row.values()])
    dash = "--" if source == figures.MEAN else "-"
    axes.plot(ks, points[:, 0], color=colour, ls=dash, marker="o", ms=3.2)
    axes.fill_between(ks, *points[:, 1:].T, color=colour, alpha=0.13, lw=0)
  axes.set_xscale("log", base=2)
  axes.set_xticks(ks, [f"{k}" for k in ks])
  axes.xaxis.set_minor_locator(NullLocator())
  axes.set_xlabel("k", loc="right")
  axes.set_ylim(0, 1.02)
  names = {style.plain(s): c for s, c in lines.items()}
  style.legend(figure, names, _columns(names) if len(colours) > 1 else 0)
  return figure


def _columns(names: Colours) -> int:
  """Columns of a legend beneath a figure of full width."""
  return max(1, min(2 * COLUMNS, 140 // (max(map(len, names)) + 5)))


Draw = Callable[[Axes, Sequence[Record], str], None]


def _panels(
  title: str,
  unit: str,
  of: dict[str, list[Record]],
  draw: Draw,
  legend: Colours | None = None,
) -> Figure:
  """A panel for each source."""
  columns = min(COLUMNS, len(of))
  rows = -(-len(of) // columns)
  size = (WIDTH, HEIGHT * rows + 0.7) if len(of) > 1 else style.WIDE
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(
    f"{title}: {unit}", x=0.01, ha="left", fontsize=10.5, weight="bold"
  )
  panels = list(figure.subplots(rows, columns, squeeze=False).flat)
  for axes, (source, its) in zip(panels, of.items()):
    draw(axes, its, source)
    axes.set_title(style.plain(source), fontsize=9, pad=3)
    axes.tick_params(labelsize=7.5)
  for axes in panels[len(of) :]:
    axes.set_visible(False)
  style.legend(figure, dict(legend or {}))
  return figure


def _solved(axes: Axes, records: Sequence[Record], colour: str) -> None:
  """Ten bars for shares between 0 and 1, and one for each of the two."""
  known = [[x for x in r.right if x is not None] for r in records]
  share = np.array([np.mean(right) for right in known if right])
  inner = share[(share > 0) & (share < 1)]
  counts, edges = np.histogram(inner, bins=np.linspace(0, 1, 11))
  total = max(1, len(share))
  axes.bar(edges[:-1] + 0.05, counts / total, 0.088, color=colour)
  ends = [(share == 0).sum() / total, (share == 1).sum() / total]
  axes.bar([-0.07, 1.07], ends, 0.088, color=colour, alpha=0.45)
  axes.set_xticks([-0.07, 0.5, 1.07], ["never", "half", "always"])


def _lengths(axes: Axes, records: Sequence[Record]) -> None:
  pairs = [
    (tokens, right)
    for r in records
    for tokens, right in zip(r.tokens, r.right)
    if right is not None
  ]
  tokens, right = np.array(pairs or np.zeros((0, 2))).T
  bins = np.linspace(0, max([1, *tokens]), BINS + 1)
  for verdict, colour in ((1, RIGHT), (0, WRONG)):
    its = tokens[right == verdict]
    counts, _ = np.histogram(its, bins)
    shares = counts / max(1, len(its))
    axes.stairs(shares, bins, color=colour, lw=1.4)
    axes.stairs(shares, bins, color=colour, fill=True, alpha=0.2)
  axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
