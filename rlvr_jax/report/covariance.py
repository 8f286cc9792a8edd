"""Draws the covariance of a run beside the fall of its entropy."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlvr_jax.analysis import entropy_covariance
from rlvr_jax.report import curves, style
from rlvr_jax.report.runs import NO_POINTS, Run

LOGGED = ("covariance/prompt", "policy/entropy")
FALL, ALL = style.PALETTE[1], style.PALETTE[0]
CLASSES = {
  "easy": style.PALETTE[2],
  "middle": style.PALETTE[5],
  "hard": style.PALETTE[3],
}


def track(run: Run, window: int = 1) -> entropy_covariance.Track:
  """Returns the covariance and the fall of the entropy that a run logged.

  Args:
    run: as it was read.
    window: steps that are taken together.

  Raises:
    ValueError: fewer than two steps logged both.
  """
  series = (run.metrics.get(k, NO_POINTS) for k in LOGGED)
  return entropy_covariance.follow(*series, window=window)


def covariance(
  run: Run, window: int = 10, title: str = "What drives the entropy down"
) -> Figure:
  """Draws covariance and fall of the entropy against the step, by accuracy too.

  Args:
    run: as it was read.
    window: steps that are taken together.
    title: of the figure.

  Raises:
    ValueError: fewer than two steps logged both.
  """
  found = track(run, window)
  with style.context():
    figure = Figure(figsize=(7.6, 3.3), dpi=style.DPI, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, weight="bold")
    left, right = figure.subplots(1, 2)
    falls = left.twinx()
    left.plot(found.steps, found.covariance, color=ALL)
    falls.plot(found.steps, found.fall, color=FALL, lw=1.4)
    falls.grid(False)
    falls.axhline(0, color=FALL, lw=0.6, ls=(0, (1, 1.5)))
    left.set_title(
      f"over {window} steps: Pearson {found.pearson:.2f}, "
      f"ranks {found.spearman:.2f}",
      fontsize=9.5,
    )
    left.set_ylabel("covariance (advantage x nats)", color=ALL)
    falls.set_ylabel(r"$H_k - H_{k+w}$ (nats)", color=FALL)
    _classes(right, run)
    for axes in (left, right):
      axes.set_xlabel("step", loc="right")
    names = {"covariance": ALL, "fall of the entropy": FALL}
    style.legend(
      figure, names | {f"{k} prompts": v for k, v in CLASSES.items()}
    )
  return figure


def _classes(axes: Axes, run: Run) -> None:
  axes.set_title("covariance by accuracy of the prompt", fontsize=9.5)
  for name, colour in CLASSES.items():
    line = curves.curve([run], f"covariance/prompt_{name}", noisy=True)
    if line is not None:
      for raw in line.raw:
        axes.plot(*raw, color=colour, alpha=0.28, lw=0.7)
      few = len(line.steps) < curves.SHORTEST_SMOOTHED
      axes.plot(
        line.steps,
        line.mean,
        color=colour,
        linestyle="" if few else "-",
        marker="o" if few else "",
        markersize=4,
      )
