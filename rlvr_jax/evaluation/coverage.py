"""What became of the rows of data sets: how many are asked, and why not all."""

import functools
from collections.abc import Mapping, Sequence

from rlvr_jax import tasks
from rlvr_jax.tasks import files, filters, overlap, sources

# Source to "read" and "kept", numbers of rows, and "dropped", those by reason.
Rows = Mapping[str, Mapping]

# A question that comes twice is asked once: nothing is missing.
_REPEATS = (filters.REPEATED, filters.CONTRADICTS)
# Where `files_task` begins the questions of reasoning-gym to measure on.
_FAR = 2**31


def remembering(style: tasks.Style) -> tasks.Style:
  """Returns a style that checks each reference answer once in its life."""
  known: dict[str, str | None] = {}

  def check(references: Sequence[str]) -> list[str | None]:
    new = [text for text in dict.fromkeys(references) if text not in known]
    known.update(zip(new, style.check(new), strict=True))
    return [known[text] for text in references]

  return style._replace(check=check)


class _Report(filters.Report):
  """Tells why a question is dropped once; its other rows repeat it."""

  def __init__(self):
    super().__init__(examples=0)
    self._gone: set[tuple[str, str]] = set()

  def drop(self, row: sources.Row, reason: str, detail: str = "") -> None:
    question = row.source, overlap.normalised(row.question)
    if reason in (filters.UNPARSABLE, filters.LONG):
      reason = filters.REPEATED if question in self._gone else reason
      self._gone.add(question)
    super().drop(row, reason, detail)


def rows(
  tokenizer: tasks.ChatTokenizer,
  options: tasks.FilesOptions,
  style: tasks.Style,
) -> Rows:
  """Returns what becomes of the rows that `tasks.files_task` measures on.

  Args:
    tokenizer: of the task.
    options: of the task.
    style: of the task; `remembering` saves checking references again.

  Raises:
    ValueError: as `files_task`.
  """
  report = _Report()
  keep = filters.Filter(
    report,
    functools.partial(files.render, tokenizer, options),
    lambda prompt: len(tokenizer.encode(prompt)),
    style.check,
    options.max_prompt,
    options.unparsable,
    by_source=True,
  )
  read = functools.partial(
    sources.read,
    columns=options.columns,
    reference=style.reference,
    seed=options.seed + _FAR,
  )
  for spec in options.evaluation:
    for _ in keep(read(spec)):
      pass
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
