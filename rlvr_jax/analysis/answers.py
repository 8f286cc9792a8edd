"""Evaluation figures from several sampled answers per problem.

Every figure is one value per problem (float64[Q]); `bootstrap_interval` tells
how far their mean can be trusted. Answers are one if they are the same text:
their normal form, which numbers share however they are written; formulas may be
equal and have several (`evaluation.classes` makes one of those that are right).
`None` means that no answer was found. Q problems, n samples each; n may differ
between problems.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

Answers = Sequence[Sequence[str | None]]
Verdicts = Sequence[Sequence[bool]]  # right or not; bool[Q, n] is one


def pass_at_k(n: int | np.ndarray, c: np.ndarray, k: int) -> np.ndarray:
  """Returns the unbiased chance that one of k samples is right.

  1 - C(n-c, k) / C(n, k), as 1 - prod_{i=n-c+1..n} (1 - k/i) in logarithms, so
  that no binomial coefficient overflows; 1 where n - c < k.

  Args:
    n: int or int[Q] samples drawn per problem.
    c: int[Q] samples that were right, 0 <= c <= n.
    k: samples allowed, 1 <= k <= n. Draw n > k: at n = k this is the plain
      "any right" estimator with its full variance.

  Returns:
    float64[Q] in [0, 1].

  Raises:
    ValueError: k above the smallest n or below 1, or c outside [0, n].

  Source:
    Chen et al., Evaluating Large Language Models Trained on Code, 2107.03374,
    eq. 1. Code: openai/human-eval, evaluation.py, estimate_pass_at_k.
  """
  c = np.asarray(c, np.int64)
  n = np.broadcast_to(np.asarray(n, np.int64), c.shape)
  _check_counts(n, c, k)
  i = np.arange(1, n.max(initial=1) + 1)
  factors = np.log1p(-k / np.where(i > k, i, k + 1))
  used = (i > (n - c)[:, None]) & (i <= n[:, None])
  missed = np.where(used, factors, 0.0).sum(axis=1)
  return np.where(n - c < k, 1.0, -np.expm1(missed))


def _check_counts(n: np.ndarray, c: np.ndarray, k: int) -> None:
  if c.ndim != 1:
    raise ValueError(f"`c` has shape {c.shape}; pass one count per problem.")
  fewest = n.min() if n.size else max(k, 1)
  if not 1 <= k <= fewest:
    raise ValueError(
      f"`k` = {k} must lie in [1, {fewest}], the samples drawn per problem; "
      "draw more samples or ask for a smaller k."
    )
  if np.any(c < 0) or np.any(c > n):
    q = int(np.flatnonzero((c < 0) | (c > n))[0])
    raise ValueError(
      f"`c[{q}]` = {c[q]} must lie in [0, {n[q]}], the samples drawn."
    )


def avg_at_k(right: Verdicts) -> np.ndarray:
  """Returns the share of right samples, float64[Q], of Q times n verdicts."""
  return np.array([np.mean(r) for r in right], np.float64)


def maj_at_k(answers: Answers, right: Verdicts) -> np.ndarray:
  """Returns whether the majority vote over all n samples is right.

  Tied answers share the vote: the value is the mean over the tied answers, the
  expectation under a fair draw, so the order of samples never matters. (verl
  takes the first of the tied.) `None` wins only where nothing was answered.

  Args:
    answers: Q lists of n extracted answers.
    right: Q lists of n verdicts. Where equal answers were graded
      differently, the answer counts with the mean of its verdicts.

  Returns:
    float64[Q] in [0, 1].

  Raises:
    ValueError: shapes that do not fit.
  """
  _check_verdicts(answers, right)
  return np.array([_vote(a, r) for a, r in zip(answers, right)])


def _vote(answers: Sequence[str | None], right: Sequence[bool]) -> float:
  votes = Counter(a for a in answers if a is not None) or Counter(answers)
  most = max(votes.values())
  winners = [a for a, count in votes.items() if count == most]
  verdict = lambda a: np.mean([r for b, r in zip(answers, right) if a == b])
  return float(np.mean([verdict(a) for a in winners]))


def answer_entropy(answers: Answers) -> np.ndarray:
  """Returns the entropy of each problem's answers in nats.

  -sum_j p_j ln p_j with p_j the share of the samples that gave answer j; `None`
  is a category of its own. A plug-in estimate: about (J-1)/(2n) nats low.

  Args:
    answers: Q lists of n extracted answers.

  Returns:
    float64[Q] in [0, ln n].

  Source:
    Wu et al., The Invisible Leash, 2507.14843, section 4 (AnswerEntropy).
  """
  return np.array([_entropy(Counter(a).values()) for a in answers], np.float64)


def _entropy(counts: Sequence[int]) -> float:
  p = np.array(list(counts), np.float64) / sum(counts)
  # abs: -(1 ln 1) is -0.0, which prints badly.
  return float(abs((p * np.log(p)).sum()))


def distinct(answers: Answers) -> np.ndarray:
  """Returns how many different answers each problem's samples hold.

  Args:
    answers: Q lists of n extracted answers; `None` is not an answer.

  Returns:
    float64[Q], 0 where nothing was answered.
  """
  return np.array([len({*a} - {None}) for a in answers], np.float64)


def distinct_right(answers: Answers, right: Verdicts) -> np.ndarray:
  """Returns how many different right answers each problem's samples hold.

  Above 1 only where a problem has several right answers; there it tells
  whether training keeps finding all of them.

  Args:
    answers: Q lists of n extracted answers; `None` is not an answer.
    right: Q lists of n verdicts.

  Returns:
    float64[Q], 0 where no sample is right.

  Raises:
    ValueError: shapes that do not fit.
  """
  _check_verdicts(answers, right)
  return distinct([[a for a, r in zip(*q) if r] for q in zip(answers, right)])


def bootstrap_means(
  values: np.ndarray, seed: int, draws: int = 1000
) -> np.ndarray:
  """Returns means over problems drawn with replacement.

  Args:
    values: float[Q] one figure per problem.
    seed: seed of a generator of its own; the global one is not touched.
    draws: resamples, at least 1.

  Returns:
    float64[draws].

  Raises:
    ValueError: no problems.
  """
  values = np.asarray(values, np.float64)
  if not values.size:
    raise ValueError("`values` is empty; an interval needs one problem.")
  rng = np.random.default_rng(seed)
  return values[rng.integers(values.size, size=(draws, values.size))].mean(1)


def bootstrap_interval(
  values: np.ndarray, seed: int, level: float = 0.95, draws: int = 1000
) -> tuple[float, float]:
  """Returns the percentile bootstrap interval of the mean over problems.

  It covers which problems were asked, not the training seed.

  Args:
    values: float[Q] one figure per problem.
    seed: of the resamples.
    level: share of the bootstrap means inside the interval, in (0, 1).
    draws: bootstrap resamples, at least 1.

  Returns:
    (low, high).

  Raises:
    ValueError: no problems, or `level` outside (0, 1).
  """
  return interval(bootstrap_means(values, seed, draws), level)


def interval(means: np.ndarray, level: float = 0.95) -> tuple[float, float]:
  """Returns the middle part of bootstrap means.

  Args:
    means: float[draws].
    level: share of the means inside, in (0, 1).

  Returns:
    (low, high).

  Raises:
    ValueError: `level` outside (0, 1).
  """
  if not 0 < level < 1:
    raise ValueError(f"`level` = {level} must lie in (0, 1), e.g. 0.95.")
  low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
  return float(low), float(high)


def _check_verdicts(answers: Answers, right: Verdicts) -> None:
  if len(answers) != len(right):
    raise ValueError(
      f"`answers` holds {len(answers)} problems, `right` {len(right)}; pass "
      "one list of each per problem."
    )
  for q, (said, verdicts) in enumerate(zip(answers, right)):
    if not 0 < len(said) == len(verdicts):
      raise ValueError(
        f"problem {q} has {len(said)} answers and {len(verdicts)} verdicts; "
        "pass one answer (or None) per verdict, at least one."
      )
