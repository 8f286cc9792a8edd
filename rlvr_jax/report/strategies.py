"""Draws how varied answers and plans stay while a policy is trained."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlvr_jax.report import style

# Field to title and unit, in reading order.
PANELS = {
  "token": ("Tokens", "entropy, nats per token"),
  "answer": ("Answers", "semantic entropy, nats"),
  "plan": ("Plans", "entropy of strategic grams, nats"),
  "grams": ("Plans in use", "distinct strategic grams"),
}


class Variety(NamedTuple):
  """Of one policy at one step; entropies in nats."""

  step: int
  token: float  # per token, mean over responses
  answer: float  # discrete semantic entropy, mean over problems
  plan: float  # of how often each strategic gram is used
  grams: float  # how many of them are used at all


def strategies(found: Mapping[str, Sequence[Variety]]) -> Figure:
  """Draws entropies of tokens, answers and plans against the step.

  The entropy of tokens may fall while plans become more varied, and the other
  way round: neither replaces the other.

  Args:
    found: label to its figures in order.

  Returns:
    The figure.
  """
  size = (2 * style.WIDE[0], 2.9)
  figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
  figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
  colours = style.colours(found)
  panels = figure.subplots(1, len(PANELS))
  for axes, (field, (title, unit)) in zip(panels, PANELS.items()):
    for label, its in found.items():
      steps = [each.step for each in its]
      values = [getattr(each, field) for each in its]
      axes.plot(steps, values, color=colours[label], marker="o", ms=3.2)
    axes.set_title(title, fontsize=10, pad=17)
    axes.text(
      0, 1.04, unit, transform=axes.transAxes, fontsize=8, color=style.MUTED
    )
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("step", loc="right", fontsize=8.5)
  style.legend(figure, {style.plain(label): colours[label] for label in found})
  return figure
