"""Draws how entropy is shared out among tokens, and the words at the forks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from rlvr_jax.analysis.token_entropy import Forks, Word
from rlvr_jax.report import style

COLOUR, FORK = style.PALETTE[9], style.PALETTE[1]
BINS = 40


def histogram(
  entropy: np.ndarray,
  mask: np.ndarray,
  found: Forks,
  title: str = "Entropy of tokens",
) -> Figure:
  """Draws how many tokens have which entropy, with the threshold of the top.

  Args:
    entropy: float[B, T] nats.
    mask: bool[B, T] true where a token counts.
    found: of `analysis.token_entropy.forks`.
    title: of the figure.
  """
  nats = np.asarray(entropy, np.float64)[np.asarray(mask)]
  edges = np.linspace(0, max(nats.max(initial=0), 1e-3), BINS + 1)
  share = np.asarray(found.chosen)[np.asarray(mask)].mean()
  with style.context():
    figure, axes = style.new_axes(title, "tokens, logarithmic axis")
    for part, colour in (
      (nats, COLOUR),
      (nats[np.asarray(found.chosen)[np.asarray(mask)]], FORK),
    ):
      axes.hist(part, edges, color=colour, log=True)
    axes.axvline(found.threshold, color=style.INK, lw=1, ls=(0, (4, 1.6)))
    left = found.threshold < edges[-1] / 2
    axes.annotate(
      f"top {share:.0%}: from {found.threshold:.2f} nats,\n"
      f"{found.mass:.0%} of all entropy",
      (found.threshold, 0.97),
      (6 if left else -6, 0),
      xycoords=("data", "axes fraction"),
      textcoords="offset points",
      ha="left" if left else "right",
      va="top",
      fontsize=9,
      path_effects=[withStroke(linewidth=3, foreground="white")],
    )
    axes.set_xlabel(
      "entropy of the next-token distribution (nats)", loc="right"
    )
    axes.set_xlim(left=0)
    axes.tick_params(which="minor", length=0)
    axes.margins(y=0.3)
    style.legend(figure, {"other tokens": COLOUR, "forking tokens": FORK})
  return figure


def words(
  told: Sequence[Word], most: int = 15, title: str = "Words at the forks"
) -> Figure:
  """Draws the most frequent texts of forking tokens with their mean entropy.

  Args:
    told: of `analysis.token_entropy.words`.
    most: of them that are drawn.
    title: of the figure.
  """
  shown = list(told[:most])
  size = (style.WIDE[0], 1.1 + 0.22 * len(shown))
  with style.context():
    figure, axes = style.new_axes(
      title, "tokens; behind the bar their mean entropy in nats", size
    )
    places = np.arange(len(shown))
    axes.barh(places, [w.count for w in shown], 0.66, color=FORK)
    for place, word in zip(places, shown):
      axes.annotate(
        f"{word.entropy:.2f}", (word.count, place), (3, 0), va="center",
        textcoords="offset points", fontsize=8, color=style.MUTED,
      )  # fmt: skip
    axes.set_yticks(places, [_shown(w.text) for w in shown])
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.margins(x=0.08)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.invert_yaxis()
  return figure


def _shown(text: str) -> str:
  """A token without a text, such as the end of a response, is told as such."""
  return style.plain(text) if text else "(no text)"
