"""How much each step of a solution tells about the right answer.

An inspector, any model, reads the question and the first k of K steps of a
solution and is then shown the right answer token by token; H_k is the mean
entropy of its predictions of these tokens, nats. A useful solution makes the
curve H_0 .. H_K fall. It is the entropy of the predictions, not how probable
the right tokens are: a model may be sure of a wrong answer. The right answer
must be known, and a solution that states an answer makes the rest of the curve
that of copying it.

Source: Guo, Measuring Reasoning Utility in LLMs via Conditional Entropy
Reduction, arXiv 2508.20395. No code was found; how solutions are cut and the
kind of spline are ours.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy.interpolate import CubicSpline

from rlvr_jax import stats
from rlvr_jax.analysis import answers

Array = jax.Array

POINTS = 20  # of a resampled curve
_SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s)")


class Utility(NamedTuple):
  """Of the curve of one solution."""

  total: float  # H_0 - H_K, nats
  slope: float  # of the least-squares line over k / K, nats
  falling: float  # share of the steps that gain something


class Band(NamedTuple):
  """The mean of several curves; arrays of one value per point."""

  mean: np.ndarray
  low: np.ndarray  # ends of the interval over problems
  high: np.ndarray
  curves: int


def steps(solution: str) -> list[str]:
  r"""Cuts a solution at empty lines; without any at line ends, else sentences.

  Returns:
    Texts that give the solution when joined, none blank; each but the first
    begins with what separates it from the one before.
  """
  for cut in (_at("\n\n"), _at("\n"), _SENTENCE_END.split):
    found = _without_blanks(cut(solution))
    if len(found) > 1:
      break
  return found


def _at(separator: str):
  def cut(text: str) -> list[str]:
    first, *rest = text.split(separator)
    return [first, *(separator + piece for piece in rest)]

  return cut


def _without_blanks(pieces: Sequence[str]) -> list[str]:
  """Joins blank pieces to the piece behind, those at the end before."""
  found, blank = [], ""
  for piece in pieces:
    if piece.strip():
      found.append(blank + piece)
      blank = ""
    else:
      blank += piece
  if found:
    found[-1] += blank
  return found


def from_logits(
  logits: Array, answer_mask: Array, step_mask: Array
) -> tuple[Array, Array]:
  """Returns the entropies of an answer and what each step gains.

  Args:
    logits: f[K+1, M, V] of the inspector at each token of the answer, after k
      steps.
    answer_mask: bool[M] which tokens count.
    step_mask: bool[K+1] which k exist; true at 0 and not again after a false.

  Returns:
    H, f32[K+1] nats, and H_{k-1} - H_k, f32[K], both 0 where there is no step.
  """
  flat = logits.reshape(-1, logits.shape[-1])
  targets = np.zeros(len(flat), np.int32)  # The entropy has none.
  entropy = stats.Entropy().from_logits(flat, targets=targets)
  entropy = entropy.reshape(logits.shape[:2])
  count = answer_mask.sum().clip(1)
  mean = (entropy * answer_mask).sum(axis=1) / count * step_mask
  return mean, (mean[:-1] - mean[1:]) * step_mask[1:]


def utility(curve: np.ndarray) -> Utility:
  """Returns the figures of one curve.

  Args:
    curve: float[K+1] H_0 .. H_K, nats.

  Raises:
    ValueError: a solution without steps, K = 0.
  """
  h = _checked(curve)
  place = np.linspace(-0.5, 0.5, len(h))
  slope = (place * h).sum() / (place**2).sum()
  return Utility(
    float(h[0] - h[-1]), float(slope), float((np.diff(h) < 0).mean())
  )


def resampled(curve: np.ndarray, points: int = POINTS) -> np.ndarray:
  """Returns a curve at evenly spaced shares of the steps, from 0 to 1.

  Args:
    curve: float[K+1].
    points: at least 2.

  Returns:
    float64[points] of the cubic spline through all values; straight lines if
    K < 3, where no cubic is determined. A spline may overshoot its values.

  Raises:
    ValueError: K = 0.
  """
  h = _checked(curve)
  at, known = np.linspace(0, 1, points), np.linspace(0, 1, len(h))
  if len(h) < 4:
    return np.interp(at, known, h)
  return CubicSpline(known, h)(at)


def average(
  curves: np.ndarray,
  problem: Sequence[object],
  seed: int,
  level: float = 0.95,
  draws: int = 1000,
) -> Band:
  """Returns the mean of curves and its percentile bootstrap interval.

  Problems are drawn with replacement, each with all its curves, since those of
  one problem are alike.

  Args:
    curves: float[N, points] of `resampled`, N >= 1.
    problem: N names.
    seed: of the resamples.
    level: share of the means inside the interval, in (0, 1).
    draws: bootstrap resamples.

  Returns:
    Band.

  Raises:
    ValueError: no curves, or not one name for each.
  """
  curves = np.asarray(curves, np.float64)
  if not len(curves) or len(problem) != len(curves):
    raise ValueError(
      f"{len(curves)} curves of {len(problem)} problems; give at least one "
      "curve, and the problem of each."
    )
  _, of = np.unique(np.asarray(problem), return_inverse=True)
  count = of.max() + 1
  rng = np.random.default_rng(seed)
  times = rng.multinomial(count, [1 / count] * count, draws)[:, of]
  means = times @ curves / times.sum(axis=1, keepdims=True)
  ends = np.array([answers.interval(column, level) for column in means.T])
  return Band(curves.mean(axis=0), *ends.T, len(curves))


def separation(right: Sequence[float], wrong: Sequence[float]) -> float:
  """Returns how often a right solution has the larger figure than a wrong one.

  Args:
    right: figures of right solutions, e.g. their `Utility.total`.
    wrong: of wrong ones.

  Returns:
    Share of the pairs, equal ones half: the area under the ROC curve; NaN if
    either is empty.
  """
  a, b = np.asarray(right, np.float64)[:, None], np.asarray(wrong, np.float64)
  pairs = (a > b) + (a == b) / 2
  return float(pairs.mean()) if pairs.size else float("nan")


def _checked(curve: np.ndarray) -> np.ndarray:
  h = np.asarray(curve, np.float64)
  if h.ndim != 1 or len(h) < 2:
    raise ValueError(
      f"`curve` has shape {h.shape}; give H_0 .. H_K of at least one step."
    )
  return h
