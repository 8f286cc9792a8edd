"""Writes one self-contained page about one run or several side by side."""

import pathlib
from collections.abc import Sequence

import tabulate

from rlvr_jax.report import plots, style, template
from rlvr_jax.report.alarms import alarms
from rlvr_jax.report.runs import Run
from rlvr_jax.report.summary import summary_rows, summary_text


def write(
  runs: Sequence[Run], folder: str | pathlib.Path, title: str
) -> pathlib.Path:
  """Writes `report.html`, its figures, and its table as `summary.md`.

  The page needs no other file and no network: pictures are inside it. The same
  pictures lie in `folder/figures`, to be used elsewhere.

  Args:
    runs: at least one run; runs of one label are shown as seeds of one line.
    folder: where to write; made when missing.
    title: heading of the page.

  Returns:
    Path of the page.

  Raises:
    ValueError: no runs.
  """
  if not runs:
    raise ValueError("`runs` is empty; read at least one run directory.")
  folder = pathlib.Path(folder)
  main, small = plots.figures(runs), plots.method_figures(runs)
  (folder / "figures").mkdir(parents=True, exist_ok=True)
  for plot in (*main, *small):
    (folder / "figures" / f"{plot.name}.png").write_bytes(plot.png)
  table = summary_text(summary_rows(runs))
  text = tabulate.tabulate(table, "keys", "github", disable_numparse=True)
  (folder / "summary.md").write_text(text + "\n", encoding="utf-8")
  path = folder / "report.html"
  path.write_text(_page(runs, title, main, small), encoding="utf-8")
  return path


def _page(
  runs: Sequence[Run],
  title: str,
  main: Sequence[plots.Plot],
  small: Sequence[plots.Plot],
) -> str:
  return template.render(
    "report.html",
    title=title,
    runs=runs,
    colours=style.colours(run.label for run in runs),
    table=summary_text(summary_rows(runs)),
    alarms=alarms(runs),
    main=main,
    small=small,
  )
