"""The figures of a report, in reading order, and how to read each."""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from rlvr_jax.report import many, style
from rlvr_jax.report.law import law
from rlvr_jax.report.lines import lines, pass_at_k
from rlvr_jax.report.runs import Run, by_label
from rlvr_jax.report.timing import time_split


class Plot(NamedTuple):
  """One finished figure."""

  name: str  # file name without its ending
  title: str
  caption: str  # one sentence: what to look for
  png: bytes


class _Panel(NamedTuple):
  """One metric against the step."""

  key: str
  title: str
  unit: str
  caption: str
  options: dict[str, bool] = {}


class _Wanted(NamedTuple):
  """A figure to come; `draw` gives None where no run has its data."""

  name: str
  title: str
  caption: str
  draw: Callable[[], Figure | None]


_ENTROPY = _Panel(
  "policy/entropy",
  "Policy entropy",
  "nats per token",
  "A fall towards zero in the first steps is collapse: exploration ends there; "
  "a dotted line is the target of a method that holds it.",
  {"targets": True},
)
_REWARD = _Panel(
  "reward/mean",
  "Training reward",
  "mean over samples",
  "Should rise; compare it with the problems solved, which no reward hack "
  "moves.",
)
_DISTINCT = _Panel(
  "eval/distinct_right",
  "Distinct right answers",
  "per problem, among the evaluation samples",
  "A fall while pass@1 rises means that the policy keeps one way and loses the "
  "others.",
  {"noisy": False},
)
_PASS1 = _Panel(
  "eval/pass@1",
  "Problems solved at the first try",
  "pass@1, share",
  "Should rise.",
  {"noisy": False},
)
_ANSWER_ENTROPY = _Panel(
  "eval/answer_entropy",
  "Answer entropy",
  "nats over the extracted answers of a problem",
  "May fall even where token entropy is held: many wordings, one answer.",
  {"noisy": False},
)
_LENGTH = _Panel(
  "rollout/length_mean",
  "Response length",
  "tokens, mean",
  "A climb to the limit or a collapse to a few tokens is rarely reasoning.",
)
_CLIP = _Panel(
  "loss/clipped_fraction",
  "Clipped tokens",
  "share of tokens",
  "Near zero the trust region does nothing; above a few percent updates are "
  "too large or too stale.",
)
_KL = _Panel(
  "loss/kl",
  "Movement per step",
  "KL(old || new), nats per token",
  "Spikes mark updates that left the trust region; entropy often breaks there.",
  {"spiky": True},
)
_GRADIENT = _Panel(
  "update/gradient_norm",
  "Gradient norm",
  "global L2 norm before clipping",
  "A slow climb or a gap (not finite) comes before a run is lost.",
  {"spiky": True},
)

_SPEED = _Panel(
  "rollout/tokens_per_second",
  "Sampling speed",
  "tokens per second",
  "Falls as responses grow longer; a sudden drop is the machine, not the "
  "method.",
)

# More labels than colours get panels of their own.
CROWD = len(style.PALETTE)
_OUTCOMES_CAPTION = (
  "Of the last evaluation and the last step; the vertical line is the first "
  "run, and collapse ends at the bottom."
)
_PASS_CAPTION = (
  "Training should lift both; pass@1 rising while the largest pass@k falls is "
  "sharpening, not discovery; bands are intervals over problems or the range "
  "of seeds."
)
_LAW_CAPTION = (
  "Without intervention the points follow R = b - a exp(H), so spent entropy "
  "caps the reward at b - a; methods that hold entropy leave the curve."
)
_TIME_CAPTION = (
  "Where the seconds go; the first step, which compiles, is left out and "
  "evaluation is spread over all steps."
)


def figures(runs: Sequence[Run]) -> list[Plot]:
  """Draws every main figure for which at least one run has data.

  Args:
    runs: any number of runs; those of one label are drawn as one line.

  Returns:
    Plots in reading order.
  """
  groups, colours = _grouped(runs)
  if len(groups) > CROWD:
    return _crowded(groups, colours)
  panel = lambda p: _Wanted(
    _slug(p.key),
    p.title,
    p.caption,
    lambda: lines(groups, colours, p.key, p.title, p.unit, **p.options),
  )
  solved = lambda: pass_at_k(groups, colours)
  bought = lambda: law(groups, colours)
  return _drawn(
    [
      panel(_ENTROPY),
      panel(_REWARD),
      _Wanted("pass-at-k", "Problems solved", _PASS_CAPTION, solved),
      panel(_DISTINCT),
      _Wanted("law", "Reward bought with entropy", _LAW_CAPTION, bought),
      *map(panel, (_ANSWER_ENTROPY, _LENGTH, _CLIP, _KL, _GRADIENT, _SPEED)),
      _Wanted(
        "time", "Time of a step", _TIME_CAPTION, lambda: time_split(groups)
      ),
    ]
  )


def _crowded(
  groups: dict[str, list[Run]], colours: dict[str, str]
) -> list[Plot]:
  """The figures of more labels than a legend can tell apart."""

  def panel(p):
    kept = {k: v for k, v in p.options.items() if k != "spiky"}
    what = (p.key, p.title, p.unit)
    draw = lambda: many.multiples(groups, colours, *what, **kept)
    return _Wanted(_slug(p.key), p.title, p.caption, draw)

  ends = lambda: many.outcomes(groups, colours)
  return _drawn(
    [
      panel(_ENTROPY),
      _Wanted("outcomes", "Where runs end", _OUTCOMES_CAPTION, ends),
      *map(panel, (_PASS1, _DISTINCT, _REWARD, _LENGTH, _CLIP, _KL)),
      _Wanted(
        "time", "Time of a step", _TIME_CAPTION, lambda: time_split(groups)
      ),
    ]
  )


def method_figures(runs: Sequence[Run]) -> list[Plot]:
  """Draws a small figure for every metric that has no figure of its own.

  Those that more labels share than colours tell apart are left out.
  """
  groups, colours = _grouped(runs)
  holders = collections.defaultdict(set)
  for run in runs:
    for name in run.metrics:
      holders[name].add(run.label)
  names = sorted(n for n, who in holders.items() if len(who) <= CROWD)
  small = lambda key: _Wanted(
    _slug(key),
    key,
    "",
    lambda: lines(groups, colours, key, key, small=True),
  )
  return _drawn(
    [small(n) for n in names if n not in _OWN and not _told_elsewhere(n)]
  )


_OWN = {
  panel.key
  for panel in (
    _ENTROPY,
    _REWARD,
    _DISTINCT,
    _ANSWER_ENTROPY,
    _LENGTH,
    _CLIP,
    _KL,
    _GRADIENT,
    _SPEED,
  )
}


def _told_elsewhere(name: str) -> bool:
  """Phases and intervals are drawn with the figure that they belong to."""
  elsewhere = ("time/", "cost/", "eval/pass@", "eval/avg@")
  return name.startswith(elsewhere) or name.endswith(("_low", "_high"))


def _grouped(
  runs: Sequence[Run],
) -> tuple[dict[str, list[Run]], dict[str, str]]:
  return by_label(runs), style.colours(run.label for run in runs)


def _drawn(
  wanted: Sequence[_Wanted],
) -> list[Plot]:
  plots = []
  with style.context():
    for plot in wanted:
      figure = plot.draw()
      if figure is not None:
        plots.append(Plot(*plot[:3], style.png(figure)))
  return plots


def _slug(key: str) -> str:
  kept = key.replace("@", "-at-").replace("/", "-")
  return "".join(c if c.isalnum() or c in "-_" else "-" for c in kept)
