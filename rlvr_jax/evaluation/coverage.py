"""What became of the rows of data sets: how many are asked, and why not all."""

from collections.abc import Mapping

from rlvr_jax import tasks
from rlvr_jax.tasks import filters

# Source to "read" and "kept", numbers of rows, and "dropped", those by reason.
Rows = Mapping[str, Mapping]

# A question that comes twice is asked once: nothing is missing.
_REPEATS = (filters.REPEATED, filters.CONTRADICTS)


def rows(report: tasks.Report) -> Rows:
  """Returns what became of the rows of data sets.

  Args:
    report: of `tasks.to_measure_on`.
  """
  return {source: _of(report, source) for source in report.read}


def _of(report: tasks.Report, source: str) -> dict[str, object]:
  dropped = {
    reason: dropped.count
    for (where, reason), dropped in report.dropped.items()
    if where == source
  }
  read, kept = report.read[source], report.kept[source]
  return {"read": read, "kept": kept, "dropped": dropped}


def problems(rows: Rows, source: str) -> int:
  """Returns how many problems a source has, asked or not."""
  kept = rows.get(source, {}).get("kept", 0)
  return kept + sum(missing(rows, source).values())


def missing(rows: Rows, source: str) -> dict[str, int]:
  """Returns the problems of a source that are not asked, by reason.

  Args:
    rows: of `rows`, or of a header; {} if that is not known.
    source: of records.
  """
  dropped = rows.get(source, {}).get("dropped", {})
  return {why: n for why, n in dropped.items() if why not in _REPEATS}
