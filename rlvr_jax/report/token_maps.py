"""Draws numbers per token: a row of squares for each response."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from rlvr_jax.analysis.edits import Stage
from rlvr_jax.report import style
from rlvr_jax.report.simplex import LEVEL, SIGNED
from rlvr_jax.types import LOGP_KEY

PANEL = (1.5, 0.95)  # inches


class _Field(NamedTuple):
  """A column of `stages`."""

  title: str
  of: Callable[[Stage], np.ndarray]
  signed: bool


FIELDS = (
  _Field("advantage", lambda s: s.record.advantages, True),
  _Field("lower clip bound", lambda s: s.record.clip_low, False),
  _Field("upper clip bound", lambda s: s.record.clip_high, False),
  _Field("weight", lambda s: s.record.weights, False),
  _Field("added term (nats)", lambda s: s.record.added, True),
  _Field("push on log π", lambda s: s.push[LOGP_KEY], True),
)


def maps(
  values: Mapping[str, np.ndarray],
  mask: np.ndarray,
  title: str,
  signed: Sequence[str] = (),
) -> Figure:
  """Draws several numbers per token side by side, each with its own colours.

  Args:
    values: name to float[B, T].
    mask: bool[B, T] true where a token counts; the rest stays white.
    title: what is drawn.
    signed: names of those whose colours part at 0.

  Returns:
    The figure.
  """
  figure, panels = _grid(title, 1, len(values), 1.6)
  for axes, (name, value) in zip(panels[0], values.items()):
    number = _counted(value, mask)
    drawn = _squares(axes, number, *_colours([number], name in signed))
    axes.set_title(name, fontsize=9, weight="normal", loc="center")
    _scale(figure, drawn, [axes])
  panels[0][0].set_ylabel("response")
  panels[0][0].set_xlabel("token", loc="left")
  return figure


def texts(
  panels: Mapping[str, tuple[Sequence[Sequence[str]], np.ndarray]],
  prompts: Sequence[str],
  title: str,
  unit: str,
) -> Figure:
  """Draws responses as they read, each token on the colour of its number.

  Args:
    panels: caption to the tokens of each response, as text, and float[B, T]
      with NaN where there is no token; all share the colours, from 0 on.
    prompts: B texts, what each response answers.
    title: what is drawn.
    unit: of the numbers.

  Returns:
    The figure.
  """
  rows, columns = np.max([v.shape for _, v in panels.values()], axis=0)
  size = (0.3 * columns * len(panels) + 1.4, 0.24 * rows + 1.1)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
  grid = figure.subplots(1, len(panels), squeeze=False)[0]
  top = max(float(np.nanmax(value)) for _, value in panels.values())
  for axes, (caption, (pieces, value)) in zip(grid, panels.items()):
    _bare(axes)
    axes.set_title(caption, fontsize=9.5, weight="normal", loc="center")
    drawn = _squares(axes, value, LEVEL, Normalize(0, top))
    for (row, at), number in np.ndenumerate(value):
      if np.isfinite(number):
        colour = "white" if number > 0.45 * top else style.INK
        text = style.plain(pieces[row][at])
        axes.text(at, row, text, ha="center", va="center", color=colour)
  grid[0].set_yticks(range(len(prompts)), map(style.plain, prompts))
  _scale(figure, drawn, list(grid), unit)
  return figure


def stages(found: Sequence[Stage], mask: np.ndarray, title: str) -> Figure:
  """Draws the loss after each member of a chain, fields from left to right.

  Only fields that a member changed are drawn. The push, on the right, is what
  the loss as a whole does to a token.

  Args:
    found: of `analysis.edits.stages`.
    mask: bool[B, T] true where a token counts; the rest stays white.
    title: what is drawn.

  Returns:
    The figure.
  """
  drawn = [
    (f, [_counted(f.of(stage), mask) for stage in found]) for f in FIELDS
  ]
  drawn = [(f, numbers) for f, numbers in drawn if not _alike(numbers)]
  figure, panels = _grid(title, len(found), len(drawn), 1.0)
  for (field, numbers), column in zip(drawn, panels.T):
    column[0].set_title(field.title, fontsize=9, weight="normal", loc="center")
    _scale(figure, _column(column, numbers, field.signed), list(column))
  for axes, stage in zip(panels[:, 0], found):
    name = style.plain(stage.name or "before")
    axes.set_ylabel(
      name.replace("_", "_\n"), rotation=0, ha="right", va="center",
      color=style.INK, fontsize=9,
    )  # fmt: skip
  return figure


def _column(
  panels: Sequence[Axes], numbers: Sequence[np.ndarray], signed: bool
) -> AxesImage:
  """Draws the first of the numbers, and each that differs from the one before.

  Returns the first image, which has the colours of all.
  """
  colours = _colours(numbers, signed)
  first = _squares(panels[0], numbers[0], *colours)
  for axes, before, number in zip(panels[1:], numbers, numbers[1:]):
    if _alike([before, number]):
      _unchanged(axes)
    else:
      _squares(axes, number, *colours)
  return first


def _alike(numbers: Sequence[np.ndarray]) -> bool:
  first, *rest = numbers
  return all(np.array_equal(first, number, equal_nan=True) for number in rest)


def _counted(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
  return np.where(np.asarray(mask) > 0, np.asarray(values, np.float64), np.nan)


def _colours(
  numbers: Sequence[np.ndarray], signed: bool
) -> tuple[Colormap, Normalize]:
  low, high = np.nanmin(numbers), np.nanmax(numbers)
  if signed:
    high = max(abs(low), abs(high), 1e-9)
    low = -high
  elif high - low < 1e-6:
    low, high = low - 0.5, high + 0.5
  return (SIGNED if signed else LEVEL), Normalize(low, high)


def _squares(
  axes: Axes, number: np.ndarray, colours: Colormap, norm: Normalize
) -> AxesImage:
  rows, columns = number.shape
  axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
  axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
  axes.grid(which="minor", color="white", linewidth=0.6)
  axes.tick_params(which="minor", length=0)
  return axes.imshow(number, cmap=colours, norm=norm, aspect="auto")


def _unchanged(axes: Axes) -> None:
  axes.set_facecolor("#F7F8F9")
  axes.text(
    0.5, 0.5, "unchanged", transform=axes.transAxes, ha="center", va="center",
    color="#AEB5BD", fontsize=7.5,
  )  # fmt: skip


def _grid(
  title: str, rows: int, columns: int, scale: float
) -> tuple[Figure, np.ndarray]:
  size = (
    scale * PANEL[0] * columns + 0.9,
    scale * PANEL[1] * rows + 1.0,
  )
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
  panels = figure.subplots(rows, columns, squeeze=False)
  for axes in panels.flat:
    _bare(axes)
  return figure, panels


def _bare(axes: Axes) -> None:
  axes.grid(False)
  axes.set(xticks=[], yticks=[])
  axes.spines[:].set_visible(False)


def _scale(
  figure: Figure, drawn: AxesImage, panels: Sequence[Axes], unit: str = ""
) -> None:
  """The colours with their numbers, below the squares."""
  bar = figure.colorbar(
    drawn, ax=panels, location="bottom", shrink=0.9, aspect=16, pad=0.02
  )
  bar.outline.set_visible(False)
  bar.set_label(unit, fontsize=8.5)
  bar.ax.tick_params(labelsize=7.5)
  bar.locator = MaxNLocator(3)
  bar.update_ticks()
