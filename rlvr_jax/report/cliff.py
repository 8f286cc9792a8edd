"""Draws how the best policy follows a reward that is added."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from rlvr_jax.analysis import policy_cliff
from rlvr_jax.report import style


def cliff(
  rewards: np.ndarray = (0.0, 0.0),
  direction: np.ndarray = (0.5, -0.5),
  alphas: Sequence[float] = (0.01, 0.1, 1.0),
  largest: float = 0.5,
) -> Figure:
  """Draws the total variation against what is added to the rewards.

  Without entropy the policy steps where actions are equally good; with a weight
  alpha of the entropy the step becomes a slope. A dotted line has that slope,
  `policy_cliff.local_lipschitz` where the direction is the worst.

  Args:
    rewards: float[A]; two equally good actions.
    direction: float[A] what is added, times the number on the axis.
    alphas: weights of the entropy, each > 0, at most as many as colours less
      one.
    largest: end of the axis on both sides.

  Returns:
    The figure.
  """
  figure, axes = style.new_axes(
    "A reward that is added moves the best policy",
    "total variation from where nothing is added; dotted: slope there",
  )
  sizes = np.linspace(-largest, largest, 1001)
  names = {}
  for alpha, colour in zip((0.0, *alphas), (style.INK, *style.PALETTE)):
    moved = policy_cliff.displacement(rewards, direction, sizes, alpha)
    axes.plot(sizes, moved, color=colour)
    names[f"alpha {alpha:g}" if alpha else "no entropy"] = colour
    if alpha:
      _slope(axes, rewards, direction, alpha, colour, largest)
  axes.set_xlim(-largest, largest)
  axes.set_ylim(0, 1.15 * policy_cliff.cliff(rewards) or 1)
  axes.set_xlabel("reward added", loc="right")
  style.legend(figure, names)
  return figure


def _slope(axes, rewards, direction, alpha, colour, largest) -> None:
  """The tangent at 0, on both sides."""
  small = 1e-6 * alpha
  rise = policy_cliff.displacement(rewards, direction, [small], alpha) / small
  ends = np.array([-largest, 0, largest])
  axes.plot(ends, rise * np.abs(ends), color=colour, ls=(0, (1, 1.5)), lw=1.2)
