"""Which problems training gained and lost: empirical support of two policies.

Compares the problems that a base policy solves within k samples with those
that the trained policy solves, at the level of verified answers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class SupportCounts(NamedTuple):
  """Numbers of problems; their sum is the number of problems asked."""

  preserved: int  # solved by both
  expanded: int  # only by the trained policy
  shrunk: int  # only by the base policy
  out: int  # by neither


class SupportRates(NamedTuple):
  """The four rates of the paper; 0/0 counts as 0."""

  srr: float  # support retention rate, [0, 1]
  ndr: float  # net discovery rate, [0, 1]
  sds: float  # support dynamic score, harmonic mean of the two, [0, 1]
  nscr: float  # net support change rate, [-1, 1]


def support_counts(
  base_hit: np.ndarray, trained_hit: np.ndarray
) -> SupportCounts:
  """Returns the counts of preserved, expanded, shrunk and unsolved problems.

  Args:
    base_hit: bool[Q] any of the base policy's k samples right.
    trained_hit: bool[Q] the same for the trained policy, with the same k and
      the same lenient extractor: an answer that only one format lets through
      would look like expansion.

  Returns:
    SupportCounts.

  Raises:
    ValueError: shapes that differ.
  """
  base, trained = np.asarray(base_hit, bool), np.asarray(trained_hit, bool)
  if base.ndim != 1 or base.shape != trained.shape:
    raise ValueError(
      f"`base_hit` {base.shape} and `trained_hit` {trained.shape} must both "
      "be [problems]; evaluate both policies on the same problems."
    )
  cells = (base & trained, ~base & trained, base & ~trained, ~base & ~trained)
  return SupportCounts(*(int(cell.sum()) for cell in cells))


def support_rates(counts: Sequence[int]) -> SupportRates:
  """Returns retention, discovery, their harmonic mean and the net change.

  SRR = P/(P+S), NDR = E/(P+E), SDS = 2 SRR NDR/(SRR+NDR),
  NSCR = (E-S)/(P+E+S). Over several data sets, add the counts first.

  Args:
    counts: SupportCounts, or four counts in its order.

  Returns:
    SupportRates.

  Raises:
    ValueError: a negative count, or not four of them.

  Source:
    Wu et al., The Invisible Leash, 2507.14843, section 2. No code released.
    One printed aggregate is mis-rounded: NDR of (2400, 36, 163) is .0148.
  """
  if len(counts) != 4 or min(counts) < 0:
    raise ValueError(
      f"`counts` = {tuple(counts)} must be four numbers of problems, none "
      "negative: preserved, expanded, shrunk, out."
    )
  p, e, s, _ = (int(count) for count in counts)
  srr, ndr = _ratio(p, p + s), _ratio(e, p + e)
  sds = _ratio(2 * srr * ndr, srr + ndr)
  return SupportRates(srr, ndr, sds, _ratio(e - s, p + e + s))


def _ratio(above: float, below: float) -> float:
  return float(above / below) if below else 0.0


def support_rates_interval(
  base_hit: np.ndarray,
  trained_hit: np.ndarray,
  seed: int,
  level: float = 0.95,
  draws: int = 1000,
) -> tuple[SupportRates, SupportRates]:
  """Returns the percentile bootstrap interval of each rate over problems.

  Args:
    base_hit: bool[Q] any of the base policy's k samples right.
    trained_hit: bool[Q] the same for the trained policy.
    seed: seed of a generator of its own.
    level: share of the bootstrap rates inside the interval, in (0, 1).
    draws: bootstrap resamples.

  Returns:
    (low, high), the ends of the interval of every rate.

  Raises:
    ValueError: `level` outside (0, 1), or shapes that differ.
  """
  if not 0 < level < 1:
    raise ValueError(f"`level` = {level} must lie in (0, 1), e.g. 0.95.")
  counts = support_counts(base_hit, trained_hit)
  total = max(sum(counts), 1)
  # Drawing problems with replacement draws the four counts multinomially.
  share = [count / total for count in counts] if sum(counts) else [0, 0, 0, 1]
  resampled = np.random.default_rng(seed).multinomial(total, share, draws)
  rates = np.array([support_rates(row) for row in resampled])
  low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2], axis=0)
  return SupportRates(*low.tolist()), SupportRates(*high.tolist())


def support_threshold(k: int, zeta: float = 0.05) -> float:
  """Returns the probability above which k samples would have shown an answer.

  With none of k samples right, p <= -ln(zeta)/k at confidence 1 - zeta.

  Args:
    k: samples drawn per problem, at least 1.
    zeta: accepted chance of being wrong, in (0, 1).

  Returns:
    Probability (an upper bound of the exact 1 - zeta^(1/k)).

  Raises:
    ValueError: k or zeta outside its range.
  """
  if k < 1 or not 0 < zeta < 1:
    raise ValueError(
      f"`k` = {k} must be at least 1 and `zeta` = {zeta} lie in (0, 1)."
    )
  return float(-np.log(zeta) / k)


def token_entropy(entropy: np.ndarray, mask: np.ndarray) -> float:
  """Returns the mean over responses of their mean token entropy in nats.

  Each response weighs the same, whatever its length; a run's `policy/entropy`
  weighs each token the same.

  Args:
    entropy: float[N, T] full-vocabulary entropy per token in nats.
    mask: bool[N, T] true where a token counts.

  Returns:
    nats; responses without a token are left out, 0 if none is left.
  """
  means = _token_means(entropy, mask)
  return float(means.mean()) if means.size else 0.0


def reference_perplexity(logp: np.ndarray, mask: np.ndarray) -> float:
  """Returns the mean over reference traces of exp(-mean token log-prob).

  Args:
    logp: float[N, T] log-probability in nats of each token of a trace.
    mask: bool[N, T] true where a token counts.

  Returns:
    Perplexity, at least 1; traces without a token are left out, 1 if none is
    left.
  """
  means = _token_means(logp, mask)
  return float(np.exp(-means).mean()) if means.size else 1.0


def _token_means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
  mask = np.asarray(mask, bool)
  # Padding may hold NaN, so it is cut out, not multiplied away.
  sums = np.where(mask, np.asarray(values, np.float64), 0.0).sum(axis=1)
  counts = mask.sum(axis=1)
  return sums[counts > 0] / counts[counts > 0]
