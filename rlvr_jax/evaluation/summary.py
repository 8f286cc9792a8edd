"""The figures of an evaluation as text and as JSON."""

import math
from collections.abc import Mapping

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


def text(table: Mapping[str, Row]) -> list[dict[str, str]]:
  """Returns one dict per source, heading to text; accuracies with intervals."""
  return [
    {"source": source, "problems": f"{row['tokens'].problems:,}"}
    | {
      _heading(name): _cell(name, figure)
      for name, figure in sorted(row.items(), key=lambda item: _place(item[0]))
      if name not in _LEFT_OUT
    }
    for source, row in table.items()
  ]


def plain(table: Mapping[str, Row]) -> dict[str, dict[str, dict]]:
  """Returns the table for JSON, source to name to figure; null for NaN."""
  known = lambda x: None if isinstance(x, float) and math.isnan(x) else x
  return {
    source: {
      name: {field: known(x) for field, x in figure._asdict().items()}
      for name, figure in row.items()
    }
    for source, row in table.items()
  }


def _place(name: str) -> int:
  """Means and votes come before pass@k, and what has no k after it."""
  if name.startswith(("avg@", "maj@")):
    return 0
  return 1 if "@" in name else 2


def _heading(name: str) -> str:
  return _HEADINGS.get(name, (name, ""))[0]


def _cell(name: str, figure: Figure) -> str:
  form = _HEADINGS.get(name, ("", "{:.3f}"))[1]
  if not figure.problems:
    return NOTHING
  value, *ends = map(form.format, figure[:3])
  return f"{value} [{', '.join(ends)}]" if "@" in name else value
