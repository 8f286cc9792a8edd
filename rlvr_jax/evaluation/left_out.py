"""What figures leave out, in sentences."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rlvr_jax.evaluation import coverage, figures, summary
from rlvr_jax.evaluation.coverage import Rows
from rlvr_jax.evaluation.figures import Row

_UNGRADED = "the others have too few samples that could be graded"
_NO_NUMBER = "the others have a sample for which it is no number"
_NO_SOURCE = "one of the sources has no such figure"
# What is asked of a response, not of its answer.
_OF_RESPONSES = ("tokens", "truncated", "entropy")


def notes(table: Mapping[str, Row], rows: Rows) -> list[tuple[str, str]]:
  """Returns, source by source, what its figures are not over.

  Args:
    table: of `figures.table`.
    rows: of the data; {} if that is not known.

  Returns:
    Names of rows of the table, or of data sets that it has none of, each with
    a sentence.
  """
  done = {source: row["tokens"].problems for source, row in table.items()}
  told = [
    (source, text)
    for source in rows
    for text in _missing(rows, source, done.get(source, 0))
  ]
  return told + [
    (name, text) for name, row in table.items() for text in _short(name, row)
  ]


def _missing(rows: Rows, source: str, done: int) -> Iterator[str]:
  """Problems that are not asked, and those that are still to be."""
  reasons = coverage.missing(rows, source)
  count, asked = sum(reasons.values()), rows[source]["kept"]
  why = ", ".join(f"{n:,} × {reason}" for reason, n in reasons.items())
  if count:
    yield (
      f"{count:,} of {count + asked:,} problems are not asked, and in no "
      f"figure: {why}."
    )
  if done < asked:
    yield (
      f"{done:,} of {asked:,} problems are done so far; the command that began "
      "the evaluation goes on with it."
    )


def _short(source: str, row: Row) -> Iterator[str]:
  """Figures that are over fewer problems than were asked."""
  count = row["tokens"].problems
  alike: dict[tuple[int, str], list[str]] = defaultdict(list)
  for name, figure in summary.shown(row):
    if figure.problems < count:
      why = _NO_NUMBER if name in _OF_RESPONSES else _UNGRADED
      if source == figures.MEAN and not figure.problems:
        why = _NO_SOURCE
      alike[figure.problems, why].append(summary.heading(name))
  for (problems, why), headings in alike.items():
    names = [heading.partition(" (")[0] for heading in headings]
    yield (
      f"{_listed(names)} {'are' if len(names) > 1 else 'is'} over "
      f"{problems:,} of {count:,} problems; {why}."
    )


def _listed(names: Sequence[str]) -> str:
  *first, last = names
  return f"{', '.join(first)} and {last}" if first else last
