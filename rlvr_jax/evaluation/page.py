"""Writes what an evaluation found: figures, a table, and one page."""

import json
import pathlib
from collections.abc import Sequence

import tabulate

from rlvr_jax.evaluation import figures, notable, summary
from rlvr_jax.evaluation.charts import charts
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
    header: settings, shown on the page; its "model" names it.
    records: at least one.
    ks: of pass@k, at most the samples of a problem.
    folder: where to write; made when missing.

  Returns:
    Path of the page, and the table as Markdown.

  Raises:
    ValueError: no records, or a k above their samples.
  """
  folder = pathlib.Path(folder)
  table = figures.table(records, ks)
  rows = summary.text(table)
  markdown = tabulate.tabulate(rows, "keys", "github", disable_numparse=True)
  page = _page(header, records, table, folder)
  numbers = json.dumps(summary.plain(table), indent=2)
  for name, text in (
    ("evaluation.html", page),
    ("summary.md", markdown + "\n"),
    ("figures.json", numbers + "\n"),
  ):
    # A lone surrogate, which JSON may hold, is no text in UTF-8.
    (folder / name).write_text(text, encoding="utf-8", errors="replace")
  return folder / "evaluation.html", markdown


def _page(
  header: Header,
  records: Sequence[Record],
  table: dict[str, Row],
  folder: pathlib.Path,
) -> str:
  colours = style.colours(record.source for record in records)
  plots = charts(records, table, colours)
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
    table=summary.text(table),
    short=_short(table),
    colours=colours,
    plots=plots,
    hardest=notable.hardest(records),
    split=notable.most_split(records),
  )


def _short(table: dict[str, Row]) -> list[tuple[str, str, int, int]]:
  """Figures that are not over all problems: source, name, over how many."""
  return [
    (source, name, figure.problems, row["tokens"].problems)
    for source, row in table.items()
    if source not in (figures.ALL, figures.MEAN)
    for name, figure in row.items()
    if figure.problems < row["tokens"].problems
    and (name.startswith("pass@") and name != "pass@1" or "avg@" in name)
  ]
