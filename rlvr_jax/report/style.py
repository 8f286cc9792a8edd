"""How figures look: colours, type, axes. Draws without pyplot's global state.

The font is the one that matplotlib ships, so a report looks the same on every
machine; sizes are set for a figure shown half a page wide.
"""

import contextlib
import io
from collections.abc import Iterable, Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

Colours = Mapping[str, str]  # label -> its colour
# Okabe and Ito's colours, told apart by colour-blind readers; yellow and black
# are replaced, as they vanish on white and in dark mode.
PALETTE = (
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#7A4FA3",
  "#8C6D31",
  "#882255",
  "#607D8B",
)
# Phases of a step, light so that they are not taken for a run's colour.
PHASES = {
  "rollout": "#77AADD",
  "grade": "#EE8866",
  "update": "#44BB99",
  "evaluate": "#FFAABB",
  "other": "#D4D7DB",
}
INK, MUTED, RULE = "#1F2328", "#656D76", "#E4E7EB"
DPI = 180
LEGEND_ROW = 0.2  # inches
WIDE, SMALL = (5.6, 3.7), (3.7, 2.3)

_RC = {
  "figure.facecolor": "white",
  "font.family": "DejaVu Sans",
  "font.size": 9.5,
  "text.color": INK,
  "axes.labelcolor": MUTED,
  "axes.edgecolor": "#B8BEC6",
  "axes.linewidth": 0.8,
  "axes.titlesize": 11.5,
  "axes.titleweight": "bold",
  "axes.titlelocation": "left",
  "axes.spines.top": False,
  "axes.spines.right": False,
  "axes.spines.left": False,
  "axes.grid": True,
  "axes.grid.axis": "y",
  "axes.axisbelow": True,
  "grid.color": RULE,
  "grid.linewidth": 0.8,
  "xtick.color": MUTED,
  "ytick.color": MUTED,
  "xtick.major.size": 3,
  "ytick.major.size": 0,
  "lines.linewidth": 2.0,
  "lines.solid_capstyle": "round",
  "legend.frameon": False,
  "legend.fontsize": 9,
  "legend.handlelength": 1.4,
  "mathtext.fontset": "dejavusans",
}


def context() -> contextlib.AbstractContextManager[None]:
  """Returns a context manager under which figures take the style."""
  return matplotlib.rc_context(_RC)


def colours(labels: Iterable[str]) -> dict[str, str]:
  """Gives each label its colour, the same in every figure of a report."""
  unique = dict.fromkeys(labels)
  return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(unique)}


def new_axes(
  title: str, unit: str, size: tuple[float, float] = WIDE
) -> tuple[Figure, Axes]:
  """Returns a figure with one axes, its title and the unit beneath it.

  Args:
    title: what is drawn, set bold.
    unit: unit and reading of the vertical axis, or "" for none.
    size: width and height in inches.

  Returns:
    (figure, axes).
  """
  figure = Figure(figsize=size, dpi=DPI, layout="constrained")
  figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
  axes = figure.add_subplot()
  axes.set_title(title, pad=20 if unit else 8, x=0)
  axes.annotate(
    unit,
    (0, 1),
    (0, 7),
    xycoords="axes fraction",
    textcoords="offset points",
    fontsize=9,
    color=MUTED,
  )
  return figure, axes


def legend(figure: Figure, names: dict[str, str], columns: int = 0) -> None:
  """Sets a legend of coloured lines beneath the axes, left aligned.

  Args:
    figure: the figure.
    names: text to colour, in order.
    columns: columns of the legend; 0 fits as many as the texts allow.
  """
  if not names:
    return
  longest = max(len(text) for text in names)
  columns = columns or max(1, min(4, len(names), 78 // (longest + 5)))
  width, height = figure.get_size_inches()
  more_rows = -(-len(names) // columns) - 1
  # Many labels make a taller figure, not a flatter plot.
  figure.set_size_inches(width, height + LEGEND_ROW * more_rows)
  figure.legend(
    [Line2D([], [], color=c, linewidth=3) for c in names.values()],
    list(names),
    loc="outside lower left",
    ncols=columns,
    columnspacing=1.4,
  )


def plain(text: str) -> str:
  """Returns text that matplotlib shows as written, not as a formula."""
  # matplotlib keeps entries that begin with an underscore out of a legend.
  hidden = "\u200b" if text.startswith("_") else ""
  return hidden + text.replace("$", r"\$")


def png(figure: Figure) -> bytes:
  """Returns the figure as PNG, the same bytes for the same data."""
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
  buffer = io.BytesIO()
  # A palette makes the file a third; 160 colours hold a few hues and tints.
  drawn.quantize(160, dither=Image.Dither.NONE).save(
    buffer, "PNG", optimize=True, dpi=(DPI, DPI)
  )
  return buffer.getvalue()
