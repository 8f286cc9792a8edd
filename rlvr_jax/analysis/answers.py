"""Evaluation figures from several sampled answers per problem.

Every function returns one value per problem (float64[Q]); `summarise` takes
the means and the intervals. An answer is the text that the verifier extracted
in normal form, so equal answers are equal strings; `None` means that no answer
was found. Q problems, n samples each.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

Answers = Sequence[Sequence[str | None]]


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


def avg_at_k(right: np.ndarray) -> np.ndarray:
  """Returns the share of right samples: bool[Q, n] to float64[Q]."""
  return np.asarray(right, np.float64).mean(axis=1)


def maj_at_k(answers: Answers, right: np.ndarray) -> np.ndarray:
  """Returns whether the majority vote over all n samples is right.

  Tied answers share the vote: the value is the mean over the tied answers, the
  expectation under a fair draw, so the order of samples never matters. (verl
  takes the first of the tied.) `None` wins only where nothing was answered.

  Args:
    answers: Q lists of n extracted answers.
    right: bool[Q, n] verdict of each sample. Where equal answers were graded
      differently, the answer counts with the mean of its verdicts.

  Returns:
    float64[Q] in [0, 1].

  Raises:
    ValueError: shapes that do not fit.
  """
  right = _checked(answers, right)
  return np.array([_vote(a, r) for a, r in zip(answers, right)])


def _vote(answers: Sequence[str | None], right: np.ndarray) -> float:
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


def distinct_right(answers: Answers, right: np.ndarray) -> np.ndarray:
  """Returns how many different right answers each problem's samples hold.

  Above 1 only where a problem has several right answers; there it tells
  whether training keeps finding all of them.

  Args:
    answers: Q lists of n extracted answers; `None` is not an answer.
    right: bool[Q, n] verdict of each sample.

  Returns:
    float64[Q], 0 where no sample is right.

  Raises:
    ValueError: shapes that do not fit.
  """
  right = _checked(answers, right)
  found = ({a for a, r in zip(*q) if r} - {None} for q in zip(answers, right))
  return np.array([len(f) for f in found], np.float64)


def bootstrap_interval(
  values: np.ndarray, seed: int, level: float = 0.95, draws: int = 1000
) -> tuple[float, float]:
  """Returns the percentile bootstrap interval of the mean over problems.

  It covers which problems were asked, not the training seed.

  Args:
    values: float[Q] one figure per problem.
    seed: seed of a generator of its own; the global one is not touched.
    level: share of the bootstrap means inside the interval, in (0, 1).
    draws: bootstrap resamples, at least 1.

  Returns:
    (low, high).

  Raises:
    ValueError: no problems, or `level` outside (0, 1).
  """
  values = np.asarray(values, np.float64)
  if not values.size:
    raise ValueError("`values` is empty; an interval needs one problem.")
  if not 0 < level < 1:
    raise ValueError(f"`level` = {level} must lie in (0, 1), e.g. 0.95.")
  rng = np.random.default_rng(seed)
  means = values[rng.integers(values.size, size=(draws, values.size))].mean(1)
  low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
  return float(low), float(high)


def summarise(
  answers: Answers, right: np.ndarray, ks: Sequence[int], seed: int = 0
) -> dict[str, float]:
  """Returns the means over problems under the names that a run logs.

  Args:
    answers: Q lists of n extracted answers.
    right: bool[Q, n] verdict of each sample.
    ks: the k of each pass@k, 1 <= k <= n; pass@1 is always given.
    seed: seed of the bootstrap.

  Returns:
    `eval/pass@<k>` for each k, `eval/avg@<n>`, `eval/maj@<n>`,
    `eval/distinct_right`, `eval/answer_entropy` (nats); for pass@1, the largest
    k and distinct_right also the ends of a 95 % interval over problems,
    `..._low` and `..._high`.

  Raises:
    ValueError: shapes that do not fit, or a k above n.
  """
  right = _checked(answers, right)
  n, ks = right.shape[1], sorted({1, *ks})
  values = {f"pass@{k}": pass_at_k(n, right.sum(axis=1), k) for k in ks}
  values[f"avg@{n}"] = avg_at_k(right)
  values[f"maj@{n}"] = maj_at_k(answers, right)
  values["distinct_right"] = distinct_right(answers, right)
  values["answer_entropy"] = answer_entropy(answers)
  result = {f"eval/{name}": float(v.mean()) for name, v in values.items()}
  for name in ("pass@1", f"pass@{ks[-1]}", "distinct_right"):
    low, high = bootstrap_interval(values[name], seed)
    result |= {f"eval/{name}_low": low, f"eval/{name}_high": high}
  return result


def _checked(answers: Answers, right: np.ndarray) -> np.ndarray:
  right = np.asarray(right, bool)
  rows = sorted({len(a) for a in answers})
  if right.ndim != 2 or right.size == 0:
    raise ValueError(
      f"`right` has shape {right.shape}; pass [problems, samples], not empty."
    )
  if len(answers) != right.shape[0] or rows != [right.shape[1]]:
    raise ValueError(
      f"`answers` holds {len(answers)} problems with {rows} samples, `right` "
      f"has shape {right.shape}; pass one answer (or None) per verdict."
    )
  return right
