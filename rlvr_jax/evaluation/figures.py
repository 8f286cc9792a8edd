"""From records to figures: per problem, per source, and over all sources.

Samples that the verifier could not tell are left out of everything that
concerns answers: a problem then has fewer samples n. Where n = 0 it has no
such figure, and where n < k no pass@k: it is left out of that mean, and every
mean says over how many problems it is. Length, truncation and entropy do not
ask the verifier and are over all samples. Answers are one if they are the same
text; `classes.one_right` sees to those that are right.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.analysis import answers
from rlvr_jax.evaluation.records import Record

Values = dict[str, np.ndarray]  # float64[Q] by name; NaN: has no such figure

ALL, MEAN = "all problems", "mean of sources"


class Figure(NamedTuple):
  """A mean over problems with its 95 % bootstrap interval."""

  value: float  # NaN where no problem has the figure, as are its ends
  low: float
  high: float
  problems: int  # that have it


Row = dict[str, Figure]

_NOTHING = Figure(np.nan, np.nan, np.nan, 0)


def samples(records: Sequence[Record]) -> int:
  """The samples of a problem, known and unknown.

  Raises:
    ValueError: there are no records.
  """
  if not records:
    raise ValueError("there are no records; evaluate at least one problem.")
  return len(records[0].right)


def check_sources(names: Iterable[str]) -> None:
  """Raises if a row of the table would have the name of a data set.

  Raises:
    ValueError: a data set is called `ALL` or `MEAN`.
  """
  taken = sorted({ALL, MEAN}.intersection(names))
  if taken:
    raise ValueError(
      f"a data set is called {taken[0]!r}, as a row over several is; call it "
      "otherwise in its file, or name another column: --columns=source=COLUMN."
    )


def default_ks(count: int) -> tuple[int, ...]:
  """The powers of two up to a number of samples."""
  return tuple(2**i for i in range(count.bit_length()))


def per_problem(records: Sequence[Record], ks: Sequence[int]) -> Values:
  """Returns every figure of every problem.

  Args:
    records: Q of them, all with n samples.
    ks: the k of each pass@k, 1 <= k <= n; pass@1 is always given.

  Returns:
    pass@<k>, avg@<n>, maj@<n>: chances in [0, 1]. distinct, distinct_right:
    different answers. answer_entropy: nats, over the answers. tokens: length
    of a response. truncated, unknown: shares of the samples. entropy: nats per
    token, mean over responses of their means.

  Raises:
    ValueError: no records, or a k outside [1, n].
  """
  count = samples(records)
  _check_ks(ks, count)
  graded = [_graded(r) for r in records]
  known = np.array([len(g) for g in graded])
  right = np.array([sum(verdict for _, verdict in g) for g in graded])
  values = {
    f"pass@{k}": _where(
      known >= k, functools.partial(answers.pass_at_k, k=k), known, right
    )
    for k in sorted({1, *ks})
  }
  said = [[answer for answer, _ in g] for g in graded]
  verdicts = [[verdict for _, verdict in g] for g in graded]
  for name, figure, *of in (
    (f"avg@{count}", answers.avg_at_k, verdicts),
    (f"maj@{count}", answers.maj_at_k, said, verdicts),
    ("distinct", answers.distinct, said),
    ("distinct_right", answers.distinct_right, said, verdicts),
    ("answer_entropy", answers.answer_entropy, said),
  ):
    values[name] = _where(known > 0, figure, *of)
  mean = lambda field: np.array([np.mean(getattr(r, field)) for r in records])
  values |= {name: mean(name) for name in ("tokens", "truncated", "entropy")}
  return values | {"unknown": 1 - known / count}


def table(
  records: Sequence[Record], ks: Sequence[int], seed: int = 0
) -> dict[str, Row]:
  """Returns the means of every source and, of several, of all together.

  Args:
    records: of the whole evaluation.
    ks: of pass@k.
    seed: of the bootstrap.

  Returns:
    Source to its row, in order of first appearance. Where there are several,
    then the row `MEAN`, in which every source counts alike, and `ALL`, in
    which every problem does.

  Raises:
    ValueError: no records, a k outside [1, n], or a source that is called `ALL`
      or `MEAN`.
  """
  values = per_problem(records, ks)
  sources = np.array([r.source for r in records])
  check_sources(sources.tolist())
  parts = {
    source: {name: v[sources == source] for name, v in values.items()}
    for source in dict.fromkeys(sources.tolist())
  }
  rows = {source: row(part, seed) for source, part in parts.items()}
  if len(parts) > 1:
    rows[MEAN] = {name: _over(parts, name, seed) for name in values}
    rows[ALL] = row(values, seed)
  return rows


def row(values: Values, seed: int = 0) -> Row:
  """Returns the mean of every figure over the problems that have it."""
  return {name: _figure([v], seed) for name, v in values.items()}


def _over(parts: dict[str, Values], name: str, seed: int) -> Figure:
  """The mean over sources; NaN if one of them has no such figure."""
  return _figure([values[name] for values in parts.values()], seed)


def _figure(groups: Sequence[np.ndarray], seed: int) -> Figure:
  """The mean over groups of the means in them.

  The bootstrap draws problems inside their group: which data sets were asked
  is a choice, not chance.
  """
  groups = [group[~np.isnan(group)] for group in groups]
  if not all(group.size for group in groups):
    return _NOTHING
  value = float(np.mean([group.mean() for group in groups]))
  means = np.mean(
    [
      answers.bootstrap_means(group, seed + number)
      for number, group in enumerate(groups)
    ],
    axis=0,
  )
  return Figure(value, *answers.interval(means), sum(g.size for g in groups))


def _graded(record: Record) -> list[tuple[str | None, bool]]:
  """Answer and verdict of the samples that the verifier could tell."""
  pairs = zip(record.answers, record.right)
  return [(answer, right) for answer, right in pairs if right is not None]


def _where(
  chosen: np.ndarray, figure: Callable[..., np.ndarray], *columns: Sequence
) -> np.ndarray:
  """The figure of the chosen problems, NaN for the others."""
  take = lambda x: [x[i] for i in np.flatnonzero(chosen)]
  values = np.full(len(chosen), np.nan)
  if chosen.any():
    values[chosen] = figure(*map(take, columns))
  return values


def _check_ks(ks: Sequence[int], count: int) -> None:
  wrong = [k for k in ks if not 1 <= k <= count]
  if wrong:
    raise ValueError(
      f"k = {wrong} must lie in [1, {count}], the samples of a problem; draw "
      "more samples or ask for a smaller k."
    )
