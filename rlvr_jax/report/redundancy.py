"""Draws how much of the entropy of responses is entropy of their answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlvr_jax.report import style
from rlvr_jax.report.runs import NO_POINTS, Run

OUTCOME, REDUNDANT = style.PALETTE[0], style.PALETTE[5]
_ANSWERS = "action_redundancy/answer_entropy"
_REDUNDANT = "action_redundancy/redundancy"


class Split(NamedTuple):
  """Entropies of responses at one place of the axis, nats."""

  at: float  # a step, or a temperature
  outcome: float  # of what they answer
  redundant: float  # of the rest, the wording; both add up to that of responses


def of_run(run: Run) -> list[Split]:
  """Returns the splits that a run with `action_redundancy` has logged."""
  at, outcome = run.metrics.get(_ANSWERS, NO_POINTS)
  _, redundant = run.metrics.get(_REDUNDANT, NO_POINTS)
  return [Split(*each) for each in zip(at.tolist(), outcome, redundant)]


def redundancy(splits: Sequence[Split], axis: str = "step") -> Figure:
  """Draws both parts stacked, and the share that is redundant.

  Args:
    splits: at least one.
    axis: what their places are, with its unit.

  Returns:
    The figure.

  Raises:
    ValueError: no splits.
  """
  if not splits:
    raise ValueError(
      "`splits` is empty; a run logs them with action_redundancy in its chain, "
      "coef = 0 if it is only to watch."
    )
  figure, axes = style.new_axes(
    "Wording and answers", "entropy of responses, nats"
  )
  at, outcome, redundant = np.array(sorted(splits), np.float64).T
  marker = "o" if len(at) < 30 else ""
  axes.fill_between(at, 0, outcome, color=OUTCOME, alpha=0.75, lw=0)
  axes.fill_between(
    at, outcome, outcome + redundant, color=REDUNDANT, alpha=0.55, lw=0
  )
  axes.plot(at, outcome, color=OUTCOME, marker=marker, ms=3.2)
  axes.plot(at, outcome + redundant, color=REDUNDANT, marker=marker, ms=3.2)
  axes.set_ylim(bottom=0)
  axes.set_xlabel(axis, loc="right")
  if axis == "step":
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
  axes.margins(x=0.01)
  parts = {"of answers": OUTCOME, "redundant: of wording alone": REDUNDANT}
  style.legend(figure, parts)
  return figure
