"""Semantic entropy: how many things a model says, whatever the wording.

Of one problem's n samples. `clusters` numbers their meanings, i[n] as
`verify.clusters.cluster` gives them: equal numbers mean the same, and a sample
of -1, without an answer, means something of its own. `logp` is the mean
log-prob of the tokens of each sample, f[n] nats <= 0. All entropies are in nats
and do not depend on the numbering.

Source: Kuhn et al., Semantic Uncertainty, arXiv 2302.09664; Farquhar et al.,
Detecting hallucinations in large language models using semantic entropy,
Nature 630 (2024). Code: jlko/semantic_uncertainty, semantic_entropy.py.
"""

import numpy as np

ESTIMATORS = ("plug_in", "miller_madow")


def discrete(clusters: np.ndarray, estimator: str = "plug_in") -> float:
  """Returns the entropy of the shares of the clusters; needs no log-probs.

  Args:
    clusters: i[n], n >= 1.
    estimator: "plug_in", -sum_c p_c log p_c in [0, log n], about (M - 1) / (2n)
      too low with M clusters; "miller_madow" adds that.

  Raises:
    ValueError: an unknown estimator, or no samples.
  """
  if estimator not in ESTIMATORS:
    raise ValueError(
      f"discrete: estimator = {estimator!r} must be in {ESTIMATORS}."
    )
  members = _members(clusters)
  entropy = _entropy(np.log(members.mean(axis=1)))
  if estimator == "miller_madow":
    entropy += (len(members) - 1) / (2 * members.shape[1])
  return entropy


def weighted(clusters: np.ndarray, logp: np.ndarray) -> float:
  """Returns the entropy of the clusters' shares of probability.

  -sum_c p_c log p_c with p_c the share of e^logp: the Rao-Blackwellised form
  of the released code. Equal `logp` give `discrete`.

  Args:
    clusters: i[n], n >= 1.
    logp: f[n].

  Raises:
    ValueError: no samples, or shapes that do not fit.
  """
  return _entropy(log_shares(clusters, logp))


def monte_carlo(clusters: np.ndarray, logp: np.ndarray) -> float:
  """Returns -1/M sum_c log p(c) over the M clusters, as in the first paper.

  p(c) is the sum of e^logp over the cluster, normalised by nothing, so with
  mean log-probs it is no probability and the value may be negative.

  Args:
    clusters: i[n], n >= 1.
    logp: f[n].

  Raises:
    ValueError: no samples, or shapes that do not fit.
  """
  return float(-_log_sums(clusters, logp).mean())


def naive(logp: np.ndarray) -> float:
  """Returns -mean logp: what is left without clusters.

  Args:
    logp: f[n], n >= 1.

  Raises:
    ValueError: no samples.
  """
  return -float(_checked(logp, np.asarray(logp).size).mean())


def log_shares(clusters: np.ndarray, logp: np.ndarray) -> np.ndarray:
  """Returns the log of each cluster's share of e^logp.

  Args:
    clusters: i[n], n >= 1.
    logp: f[n].

  Returns:
    float64[M] by the first sample of each cluster.

  Raises:
    ValueError: no samples, or shapes that do not fit.
  """
  sums = _log_sums(clusters, logp)
  return sums - np.logaddexp.reduce(sums)


def equivalent(implication: np.ndarray, strict: bool = False) -> np.ndarray:
  """Returns which samples mean the same by what implies what.

  Args:
    implication: i[n, n] of each pair in this order: 0 contradiction, 1
      neutral, 2 entailment.
    strict: ask for entailment both ways; else for no contradiction and not
      neutral twice, the default of the released code.

  Returns:
    bool[n, n], symmetric and not always transitive: see `clusters.partition`.
  """
  there = np.asarray(implication)
  back = there.T
  if strict:
    return (there == 2) & (back == 2)
  return (there != 0) & (back != 0) & ((there != 1) | (back != 1))


def _members(clusters: np.ndarray) -> np.ndarray:
  """bool[M, n]: who is in which cluster, by its first sample."""
  clusters = np.asarray(clusters)
  if clusters.ndim != 1 or not clusters.size:
    raise ValueError(
      f"`clusters` has shape {clusters.shape}; pass one number per sample, at "
      "least one."
    )
  same = clusters[:, None] == clusters
  same &= (clusters >= 0) | np.eye(len(clusters), dtype=bool)
  return same[same.argmax(axis=1) == np.arange(len(clusters))]


def _checked(logp: np.ndarray, count: int) -> np.ndarray:
  logp = np.asarray(logp, np.float64)
  if logp.shape != (count,) or not count:
    raise ValueError(
      f"`logp` has shape {logp.shape}; pass one number for each of the "
      f"{count} samples, at least one."
    )
  return logp


def _log_sums(clusters: np.ndarray, logp: np.ndarray) -> np.ndarray:
  members = _members(clusters)
  logp = _checked(logp, members.shape[1])
  return np.logaddexp.reduce(np.where(members, logp, -np.inf), axis=1)


def _entropy(log_p: np.ndarray) -> float:
  # abs: -(1 log 1) is -0.0, which prints badly.
  return float(abs((np.exp(log_p) * log_p).sum()))
