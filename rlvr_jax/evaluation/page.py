"""Writes what an evaluation found: figures, a table, and one page."""

import json
import pathlib
from collections.abc import Sequence

import tabulate

from rlvr_jax.evaluation import classes, figures, left_out, notable, summary
from rlvr_jax.evaluation.charts import charts
from rlvr_jax.evaluation.coverage import Rows
from rlvr_jax.evaluation.figures import Row
from rlvr_jax.evaluation.records import Header, Record
from rlvr_jax.report import style, template


def write(
  header: Header,
  records: Sequence[Record],
  ks: Sequence[int],
  folder: str | pathlib.Path,
) -> tuple[pathlib.Path, str]:
  """Writes `evaluation.html`, its figures, `figures.json` and `summary.md`.

  The page needs no other file and no network. What it shows of the records is
  text: nothing that a model wrote is run or rendered.

  Args:
    header: settings, shown on the page. Its "model" names it; by its "style"
      right answers are one or not, see `classes.one_right`; its "data_rows",
      of `coverage.rows`, tell which problems were not asked.
    records: at least one.
    ks: of pass@k, at most the samples of a problem.
    folder: where to write; made when missing.

  Returns:
    Path of the page, and the tables as Markdown.

  Raises:
    ValueError: no records, a k above their samples, or a source that has the
      name of a row over several.
  """
  folder = pathlib.Path(folder)
  rows: Rows = header.get("data_rows", {})
  if header.get("style") in classes.EQUAL:
    records = classes.one_right(records)
  table = figures.table(records, ks)
  markdown = _markdown(table, rows)
  page = _page(header, records, table, folder)
  numbers = json.dumps(summary.plain(table, rows), indent=2)
  for name, text in (
    ("evaluation.html", page),
    ("summary.md", markdown + "\n"),
    ("figures.json", numbers + "\n"),
  ):
    # A lone surrogate, which JSON may hold, is no text in UTF-8.
    (folder / name).write_text(text, encoding="utf-8", errors="replace")
  return folder / "evaluation.html", markdown


def _markdown(table: dict[str, Row], rows: Rows) -> str:
  """What is on the page above the figures, and the rows of the data."""
  write = lambda lines: tabulate.tabulate(
    lines, "keys", "github", disable_numparse=True
  )
  notes = left_out.notes(table, rows)
  parts = [
    write(summary.text(table, rows)),
    "\n".join(f"- {source}: {text}" for source, text in notes),
    write(summary.read(rows)),
  ]
  return "\n\n".join(filter(None, parts))


def _page(
  header: Header,
  records: Sequence[Record],
  table: dict[str, Row],
  folder: pathlib.Path,
) -> str:
  colours = style.colours(record.source for record in records)
  plots = charts(records, table, colours)
  rows: Rows = header.get("data_rows", {})
  (folder / "figures").mkdir(parents=True, exist_ok=True)
  for plot in plots:
    (folder / "figures" / f"{plot.name}.png").write_bytes(plot.png)
  return template.render(
    "evaluation.html",
    "rlvr_jax.evaluation",
    title=str(header.get("model") or folder.resolve().name),
    header=dict(header),
    samples=len(records[0].right),
    problems=len(records),
    kept=any(record.texts for record in records),
    table=summary.text(table, rows),
    notes=left_out.notes(table, rows),
    read=summary.read(rows),
    colours=colours,
    plots=plots,
    hardest=notable.hardest(records),
    split=notable.most_split(records),
  )
