"""Draws policies over three tokens, in a triangle with a token per corner."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlvr_jax.report import style

# Few tints, so that `style.png` has a colour for each.
SIGNED = LinearSegmentedColormap.from_list(
  "signed", [style.PALETTE[0], "#EEF0F2", style.PALETTE[1]], N=33
)
LEVEL = LinearSegmentedColormap.from_list(
  "level", ["#E3EDF4", "#9CC9E3", style.PALETTE[0], "#08304F"], N=32
)
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
PANEL = (2.75, 2.6)  # inches
LEVELS = 24  # tints of a map
GRID = 80  # policies along an edge


def grid(count: int = GRID) -> np.ndarray:
  """Policies float64[n, 3] spread evenly over the triangle, edges included."""
  a, b = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
  inside = a + b <= count
  a, b = a[inside], b[inside]
  return np.stack([a, b, count - a - b], axis=-1) / count


def place(policies: np.ndarray) -> np.ndarray:
  """Where policies float[..., 3] lie in the plane, float64[..., 2]."""
  return np.asarray(policies, np.float64) @ CORNERS


def maps(
  values: Mapping[str, np.ndarray],
  title: str,
  unit: str,
  *,
  tokens: Sequence[str] = ("a", "b", "c"),
  signed: bool = False,
  count: int = GRID,
) -> Figure:
  """Draws numbers of policies as colours, one triangle beside the other.

  Args:
    values: caption of a triangle to float[n], a number for each of
      `grid(count)`; all share the colours.
    title: what is drawn.
    unit: of the numbers.
    tokens: names of the corners.
    signed: the colours part at 0, which gets a line.
    count: of `grid`.

  Returns:
    The figure.
  """
  figure, panels = _panels(list(values), title, tokens)
  where = place(grid(count)).T
  numbers = np.concatenate(list(values.values()))
  # The largest number must lie below the last level, or it has no colour.
  top = (1 + 1e-9) * (np.abs(numbers).max() if signed else numbers.max())
  levels = np.linspace(-top if signed else numbers.min(), top, LEVELS + 1)
  for axes, value in zip(panels, values.values()):
    colours = SIGNED if signed else LEVEL
    drawn = axes.tricontourf(*where, value, levels=levels, cmap=colours)
    if signed:
      axes.tricontour(*where, value, levels=[0], colors=style.INK, linewidths=1)
  _scale(figure, drawn, panels, unit)
  return figure


def paths(
  panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
  title: str,
  *,
  tokens: Sequence[str] = ("a", "b", "c"),
) -> Figure:
  """Draws how policies move over the entropy, one triangle per panel.

  Args:
    panels: caption of a triangle to the paths of each label; a path is
      float[steps, 3], from a ring to a dot.
    title: what is drawn.
    tokens: names of the corners.

  Returns:
    The figure.
  """
  figure, triangles = _panels(list(panels), title, tokens)
  labels = dict.fromkeys(label for lines in panels.values() for label in lines)
  colours = style.colours(labels)
  policies = grid()
  for axes, lines in zip(triangles, panels.values()):
    drawn = axes.tricontourf(
      *place(policies).T, entropy(policies), levels=12, cmap="Greys", alpha=0.35
    )
    for label, runs in lines.items():
      for path in runs:
        _path(axes, place(path), colours[label])
  _scale(figure, drawn, triangles, "entropy (nats)")
  if len(labels) > 1:
    style.legend(figure, {style.plain(text): colours[text] for text in labels})
  return figure


def entropy(policies: np.ndarray) -> np.ndarray:
  """Entropy of float[..., 3] in nats, float64[...]."""
  p = np.asarray(policies, np.float64)
  return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)


def _path(axes: Axes, points: np.ndarray, colour: str) -> None:
  axes.plot(*points.T, color=colour, lw=1.3, alpha=0.85)
  axes.plot(*points[0], "o", color=colour, mfc="white", ms=4.5)
  axes.plot(*points[-1], "o", color=colour, ms=4.5, zorder=4)


def _panels(
  captions: Sequence[str], title: str, tokens: Sequence[str]
) -> tuple[Figure, list[Axes]]:
  size = (max(PANEL[0] * len(captions) + 0.8, 4.2), PANEL[1] + 0.7)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
  panels = list(figure.subplots(1, len(captions), squeeze=False).flat)
  for axes, caption in zip(panels, captions):
    axes.set_title(caption, fontsize=9.5, weight="normal", loc="center", pad=18)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.fill(*CORNERS.T, fill=False, edgecolor="#B8BEC6", lw=1, zorder=3)
    for corner, name, (x, y) in zip(
      CORNERS, tokens, [(-8, -9), (8, -9), (0, 6)]
    ):
      axes.annotate(
        name, corner, (x, y), textcoords="offset points", ha="center",
        va="center", color=style.INK,
      )  # fmt: skip
  return figure, panels


def _scale(
  figure: Figure, drawn: ContourSet, panels: Sequence[Axes], unit: str
) -> None:
  """The colours with their numbers, right of the triangles."""
  bar = figure.colorbar(drawn, ax=panels, shrink=0.75, aspect=18, pad=0.02)
  bar.set_label(unit)
  bar.outline.set_visible(False)
  bar.locator = MaxNLocator(6)
  bar.update_ticks()
