"""Strategic grams: phrases that act as moves of reasoning, and their entropy.

`mine` finds them in right solutions: n-grams of like meaning form a cluster,
and the clusters that occur in the most solutions are kept. A gram is a tuple
of words as `notes.words` cuts them. How to embed and to cluster is given as
two functions; those of this file need scikit-learn (extra "grams").
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from rlvr_jax.notes import Gram, matches, words

Encoder = Callable[[Sequence[str]], np.ndarray]  # n texts to f32[n, D]
Clusterer = Callable[[np.ndarray], np.ndarray]  # f32[n, D] to labels i[n]

_DIMENSIONS = 64  # of the vectors that `tfidf` makes


def tfidf(texts: Sequence[str]) -> np.ndarray:
  """f32[n, D]: weights of the words of each text, in few dimensions.

  Rows have length 1, so a distance of two tells their angle.
  """
  from sklearn.decomposition import TruncatedSVD
  from sklearn.feature_extraction.text import TfidfVectorizer
  from sklearn.preprocessing import normalize

  found = TfidfVectorizer(analyzer=words).fit_transform(texts)
  if min(found.shape) <= _DIMENSIONS:
    return found.toarray().astype(np.float32)
  reduced = TruncatedSVD(_DIMENSIONS, random_state=0).fit_transform(found)
  return normalize(reduced).astype(np.float32)


def hdbscan(vectors: np.ndarray) -> np.ndarray:
  """i[n]: clusters of any shape, of two vectors at least; -1 is none."""
  from sklearn.cluster import HDBSCAN

  if len(vectors) < 2:
    return np.full(len(vectors), -1)
  return HDBSCAN(min_cluster_size=2, copy=True).fit_predict(vectors)


def kmeans(vectors: np.ndarray, clusters: int = 100) -> np.ndarray:
  """i[n]: at most so many clusters around their means."""
  from sklearn.cluster import KMeans

  fit = KMeans(min(clusters, len(vectors)), random_state=0, n_init=1)
  return fit.fit_predict(vectors)


def mine(
  solutions: Sequence[str],
  encoder: Encoder | None = tfidf,
  clusterer: Clusterer | None = hdbscan,
  lengths: Sequence[int] = (3, 4, 5),
  keep: float = 0.2,
  least: int = 1,
) -> list[Gram]:
  """Returns the grams of the clusters that occur in the most solutions.

  Args:
    solutions: texts of right solutions; which are right is for the caller.
    encoder: texts to vectors, e.g. of a sentence transformer.
    clusterer: vectors to labels; a negative label is a cluster of its own.
      None for both makes every gram a cluster, with no further package.
    lengths: words of a gram; 3 to 5.
    keep: share of the clusters that is kept, at least one, in (0, 1]; 0.2.
    least: grams of fewer solutions are dropped beforehand, >= 1. The paper
      drops none; clustering every phrase of a large corpus takes long.

  Returns:
    Grams of the kept clusters in alphabetical order; none if no solution is
    long enough.

  Raises:
    ValueError: keep, lengths or least out of range, only one of encoder and
      clusterer, or not one label per gram.

  Source:
    Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning,
    arXiv 2509.03646. Encoder and clusterer are not published.
  """
  if not 0 < keep <= 1:
    raise ValueError(f"`keep` = {keep} must lie in (0, 1].")
  if not lengths or min(lengths) < 1:
    raise ValueError(f"`lengths` = {tuple(lengths)} must be numbers >= 1.")
  if least < 1:
    raise ValueError(f"`least` = {least} must be >= 1.")
  if (encoder is None) != (clusterer is None):
    raise ValueError("give both `encoder` and `clusterer`, or None for both.")
  holders = {
    gram: rows
    for gram, rows in sorted(_holders(solutions, lengths).items())
    if len(rows) >= least
  }
  grams = list(holders)
  if not grams:
    return []
  labels = np.full(len(grams), -1)
  if clusterer is not None:
    labels = np.asarray(clusterer(encoder([" ".join(g) for g in grams])))
  if labels.shape != (len(grams),):
    raise ValueError(
      f"`clusterer` gave labels of shape {labels.shape} for {len(grams)} grams."
    )
  clusters = {}
  for number, (gram, label) in enumerate(zip(grams, labels.tolist())):
    name = ("own", number) if label < 0 else ("label", label)
    clusters.setdefault(name, []).append(gram)
  # How many solutions hold a member, however often; ties by the alphabet.
  spread = lambda members: len(set().union(*(holders[g] for g in members)))
  ranked = sorted(clusters.values(), key=lambda m: (-spread(m), m[0]))
  kept = ranked[: max(1, round(keep * len(ranked)))]
  return sorted(gram for members in kept for gram in members)


def _holders(
  solutions: Sequence[str], lengths: Sequence[int]
) -> dict[Gram, set[int]]:
  """Each gram with the numbers of the solutions that hold it."""
  found = {}
  for number, solution in enumerate(solutions):
    text = words(solution)
    for size in lengths:
      for first in range(len(text) - size + 1):
        found.setdefault(text[first : first + size], set()).add(number)
  return found


def placebo(
  solutions: Sequence[str], grams: Sequence[Gram], seed: int
) -> list[Gram]:
  """Returns random grams of the same lengths, none of them given: a control.

  Args:
    solutions: texts to take them from.
    grams: the strategic ones.
    seed: of a generator of its own.

  Returns:
    As many grams of each length, or all there are, in alphabetical order.
  """
  dice, taken, found = np.random.default_rng(seed), set(grams), []
  for size, count in sorted(Counter(map(len, grams)).items()):
    others = sorted(_holders(solutions, (size,)).keys() - taken)
    chosen = dice.permutation(len(others))[:count]
    found += [others[i] for i in chosen]
  return sorted(found)


def counts(texts: Sequence[str], grams: Sequence[Gram]) -> np.ndarray:
  """Returns how often each gram occurs in the texts: int64[len(grams)]."""
  known = frozenset(grams)
  found = Counter(
    text[places.start : places.stop]
    for text in map(words, texts)
    for places in matches(text, known)
  )
  return np.array([found[gram] for gram in grams], np.int64)


def semantic_entropy(counted: np.ndarray) -> float:
  """Returns the entropy of how often each strategic gram is used, in nats.

  -sum_j p_j ln p_j with p_j = c_j / sum c; it tells how varied the plans are,
  which the entropy of tokens does not.

  Args:
    counted: int[K] occurrences of each gram, of `counts`.

  Returns:
    nats in [0, ln K]; 0 if no gram occurs.

  Raises:
    ValueError: a negative count.
  """
  counted = np.asarray(counted, np.float64)
  if (counted < 0).any():
    raise ValueError(f"`counted` holds {counted.min()}; counts are >= 0.")
  used = counted[counted > 0]
  share = used / max(used.sum(), 1.0)
  return float(abs((share * np.log(share)).sum()))
