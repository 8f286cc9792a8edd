"""Draws true and estimated entropy changes of tokens, of analysis.token_change.

Every function returns a Figure in the style of reports.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rlvr_jax.analysis import token_change
from rlvr_jax.analysis.token_change import ESTIMATES, Quadrant, Score, Step
from rlvr_jax.report import style

TRUE, ESTIMATED = style.PALETTE[0], style.PALETTE[1]
PANEL = (2.25, 2.45)  # inches
POINTS = 4000  # drawn at most, evenly picked
# A panel shows this share of the tokens: one rare token may lie a thousand
# times as far out as the others.
SHOWN = 0.98
QUADRANTS = {
  "positive_probable": "A > 0\nprobable",
  "positive_rare": "A > 0\nrare",
  "negative_probable": "A < 0\nprobable",
  "negative_rare": "A < 0\nrare",
}


def scatter(step: Step, title: str = "Entropy change of each token") -> Figure:
  """Draws the true change of each token against every estimate of it.

  Axes are in units of the standard deviation of the tokens shown, since only
  one of the estimates is meant in nats; those far outside are left out.

  Args:
    step: as measured.
    title: of the figure.
  """
  found, told = token_change.estimates(step), token_change.scores(step)
  with style.context():
    figure = Figure(
      figsize=(PANEL[0] * len(found), PANEL[1] + 0.35),
      dpi=style.DPI,
      layout="constrained",
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
    panels = figure.subplots(1, len(found), sharey=True)
    for axes, (name, estimate) in zip(panels, found.items()):
      _points(axes, estimate[step.mask], step.change[step.mask])
      p, s = told[name].pearson, told[name].spearman
      axes.set_title(
        f"{ESTIMATES[name]}\nPearson {p:.2f}, ranks {s:.2f}", fontsize=9
      )
    panels[0].set_ylabel("true change (std)")
    figure.supxlabel("estimated change (std)", fontsize=9, color=style.MUTED)
  return figure


def _points(axes: Axes, estimate: np.ndarray, change: np.ndarray) -> None:
  x, y = _scaled(estimate), _scaled(change)
  shown = np.isfinite(x) & np.isfinite(y)
  pick = slice(None, None, max(1, -(-int(shown.sum()) // POINTS)))
  axes.axhline(0, color=style.RULE, zorder=0)
  axes.axvline(0, color=style.RULE, zorder=0)
  axes.scatter(
    x[shown][pick], y[shown][pick], s=5, alpha=0.3, color=TRUE, linewidths=0
  )
  axes.grid(False)
  axes.xaxis.set_major_locator(MaxNLocator(5))
  axes.yaxis.set_major_locator(MaxNLocator(5))


def _scaled(x: np.ndarray) -> np.ndarray:
  """In standard deviations of the tokens shown; NaN for the others."""
  inside = np.abs(x) <= np.quantile(np.abs(x), SHOWN)
  deviation = x[inside].std()
  return np.where(inside, x / (deviation if deviation > 0 else 1.0), np.nan)


def correlations(
  tables: Mapping[str, Sequence[Mapping[str, Score]]],
  title: str = "How well the entropy change is foreseen",
) -> Figure:
  """Draws the correlations of every estimate, one panel for each and kind.

  Args:
    tables: by policy, such as "tabular", the `scores` of each seed. A dot is
      a seed, a bar their mean.
    title: of the figure.
  """
  colours = style.colours(tables)
  with style.context():
    figure = Figure(figsize=(7.4, 3.1), dpi=style.DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("pearson", "spearman")):
      for number, (policy, seeds) in enumerate(tables.items()):
        shift = 0.24 * (number - (len(tables) - 1) / 2)
        _dots(axes, kind, seeds, shift, colours[policy])
      axes.axvline(0, color="#B8BEC6", lw=0.8, zorder=0)
      axes.grid(True, axis="x")
      axes.grid(False, axis="y")
      axes.set_title(
        {"pearson": "Pearson", "spearman": "Spearman (ranks)"}[kind],
        fontsize=9.5,
      )
      axes.set_xlabel("correlation with the true change", loc="right")
    panels[0].set_yticks(range(len(ESTIMATES)), ESTIMATES.values())
    panels[0].tick_params(axis="y", labelcolor=style.INK)
    panels[0].invert_yaxis()
    style.legend(figure, dict(colours))
  return figure


def _dots(
  axes: Axes,
  kind: str,
  seeds: Sequence[Mapping[str, Score]],
  shift: float,
  colour: str,
) -> None:
  for row, name in enumerate(ESTIMATES):
    values = [getattr(table[name], kind) for table in seeds]
    at = row + shift
    axes.barh(at, np.mean(values), 0.2, color=colour, alpha=0.25)
    axes.plot(values, [at] * len(values), "o", color=colour, ms=3.5)


def quadrants(
  split: Mapping[str, Quadrant], title: str = "Which tokens move the entropy"
) -> Figure:
  """Draws share, mean true and mean estimated change of the four quadrants.

  The two changes have axes of their own: where positions share weights the
  true one is by far the larger.

  Args:
    split: of `analysis.token_change.quadrants`.
    title: of the figure.
  """
  parts = [split[name] for name in QUADRANTS]
  with style.context():
    figure = Figure(figsize=(8.2, 2.7), dpi=style.DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
    shares, true, estimated = figure.subplots(1, 3)
    _bars(shares, [q.share for q in parts], style.PALETTE[9])
    shares.set_title("share of the tokens", fontsize=9.5)
    shares.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _changes(true, [q.change for q in parts], "true", TRUE)
    _changes(estimated, [q.estimate for q in parts], "estimated", ESTIMATED)
  return figure


def _changes(
  axes: Axes, values: Sequence[float], kind: str, colour: str
) -> None:
  size = max(map(abs, values))
  power = int(np.floor(np.log10(size))) if size > 0 else 0
  _bars(axes, np.array(values) / 10.0**power, colour)
  axes.set_title(rf"{kind} change, $10^{{{power}}}$ nats", fontsize=9.5)
  axes.axhline(0, color="#B8BEC6", lw=0.8)


def _bars(axes: Axes, values: Sequence[float], colour: str) -> None:
  places = np.arange(len(QUADRANTS))
  axes.bar(places, values, 0.6, color=colour)
  axes.set_xticks(places, QUADRANTS.values(), fontsize=7.5)
  axes.margins(y=0.12)


def magnitude(
  entropies: Sequence[float] = (0.25, 0.5, 1.0, 2.0),
  title: str = "Tokens of middling probability move the entropy",
) -> Figure:
  """Draws the size of STEER's estimate against the probability of the token.

  Args:
    entropies: H of the positions, nats; one curve for each, with a dotted line
      at the boundary p = exp(-H), where the sign turns.
    title: of the figure.
  """
  p = np.linspace(1e-4, 1 - 1e-4, 800)
  names = {}
  with style.context():
    figure, axes = style.new_axes(
      title, "|p (1 - p) (log p + H)|, nats per unit of step and advantage"
    )
    for entropy, colour in zip(entropies, style.PALETTE):
      axes.plot(p, token_change.magnitude(p, entropy), color=colour)
      axes.axvline(np.exp(-entropy), color=colour, ls=(0, (1, 1.5)), lw=1.2)
      names[f"H = {entropy:g} nats"] = colour
    axes.set_xlabel("probability p of the sampled token", loc="right")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    style.legend(figure, names)
  return figure
