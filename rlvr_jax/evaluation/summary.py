"""Figures of an evaluation and rows of its data, as text and as JSON."""

import math
from collections.abc import Mapping

from rlvr_jax.evaluation import coverage, figures
from rlvr_jax.evaluation.coverage import Rows
from rlvr_jax.evaluation.figures import Figure, Row

NOTHING = "–"
# Not all: pass@1 is the same as avg@n, and a problem with one right answer has
# distinct right answers exactly where it is solved.
_LEFT_OUT = ("pass@1", "distinct_right")
_HEADINGS = {
  "distinct": ("distinct answers", "{:.2f}"),
  "answer_entropy": ("answer entropy (nats)", "{:.2f}"),
  "tokens": ("length (tokens)", "{:,.0f}"),
  "truncated": ("truncated", "{:.3f}"),
  "entropy": ("token entropy (nats)", "{:.3f}"),
  "unknown": ("unknown", "{:.3f}"),
}


def text(table: Mapping[str, Row], rows: Rows) -> list[dict[str, str]]:
  """Returns one dict per source, heading to text; accuracies with intervals.

  Args:
    table: of `figures.table`.
    rows: of the data; {} if that is not known.
  """
  return [
    {"source": source, "problems": _problems(source, row, rows)}
    | {heading(name): _cell(name, figure) for name, figure in shown(row)}
    for source, row in table.items()
  ]


def read(rows: Rows) -> list[dict[str, str]]:
  """Returns one dict per data set: rows, problems, and why not all are some."""
  reasons = dict.fromkeys(why for of in rows.values() for why in of["dropped"])
  return [
    {"source": source, "rows": f"{of['read']:,}", "problems": f"{of['kept']:,}"}
    | {why: f"{of['dropped'].get(why, 0):,}" for why in reasons}
    for source, of in rows.items()
  ]


def plain(table: Mapping[str, Row], rows: Rows) -> dict[str, dict[str, dict]]:
  """Returns all for JSON; null for NaN.

  Args:
    table: of `figures.table`.
    rows: of the data; {} if that is not known.

  Returns:
    Source to name to figure; under "rows" what became of the rows of a source.
  """
  known = lambda x: None if isinstance(x, float) and math.isnan(x) else x
  found = {
    source: {
      name: {field: known(x) for field, x in figure._asdict().items()}
      for name, figure in row.items()
    }
    for source, row in table.items()
  }
  for source, of in rows.items():
    found.setdefault(source, {})["rows"] = dict(of)
  return found


def shown(row: Row) -> list[tuple[str, Figure]]:
  """Returns the figures of a row that are shown, in their order."""
  chosen = [(name, row[name]) for name in row if name not in _LEFT_OUT]
  return sorted(chosen, key=lambda item: _place(item[0]))


def heading(name: str) -> str:
  """Returns what the table calls a figure, with its unit."""
  return _HEADINGS.get(name, (name, ""))[0]


def _problems(source: str, row: Row, rows: Rows) -> str:
  count = row["tokens"].problems
  several = source in (figures.ALL, figures.MEAN)
  names = rows if several else [source]
  whole = sum(coverage.problems(rows, name) for name in names)
  return f"{count:,} of {whole:,}" if count < whole else f"{count:,}"


def _place(name: str) -> int:
  """Means and votes come before pass@k, and what has no k after it."""
  if name.startswith(("avg@", "maj@")):
    return 0
  return 1 if "@" in name else 2


def _cell(name: str, figure: Figure) -> str:
  form = _HEADINGS.get(name, ("", "{:.3f}"))[1]
  if not figure.problems:
    return NOTHING
  value, *ends = map(form.format, figure[:3])
  return f"{value} [{', '.join(ends)}]" if "@" in name else value
