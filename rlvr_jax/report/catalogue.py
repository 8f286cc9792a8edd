"""The table of methods as Markdown, for the README."""

import re
from collections.abc import Iterable

import tabulate

from rlvr_jax.methods import Line

BEGIN, END = "<!-- methods -->\n", "<!-- end of methods -->\n"


def markdown(lines: Iterable[Line]) -> str:
  """The table of `methods.table()` as Markdown."""
  rows = [
    {
      "name": f"`{line.name}`",
      "acts on": line.family,
      "paper": _paper(line),
      "hooks": ", ".join(line.hooks),
      "needs": ", ".join(dict.fromkeys(map(_need, line.needs))),
      "state": "yes" if line.state else "",
    }
    for line in lines
  ]
  return tabulate.tabulate(rows, "keys", "github") + "\n"


def inserted(page: str, table: str) -> str:
  """The page with the table in place of what stands between the marks.

  Raises:
    ValueError: the page lacks the marks.
  """
  found = re.search(f"{BEGIN}.*?{END}", page, re.DOTALL)
  if found is None:
    raise ValueError(f"the page lacks {BEGIN!r} with {END!r} behind it.")
  return page[: found.start()] + BEGIN + table + END + page[found.end() :]


def _paper(line: Line) -> str:
  if not line.arxiv:
    return line.paper
  return f"{line.paper} [{line.arxiv}](https://arxiv.org/abs/{line.arxiv})"


def _need(key: str) -> str:
  """`Logp()|ref|rollout` to "Logp of ref (rollout)"."""
  stat, params, when, *_ = key.split("|")
  of = "" if params == "policy" else f" of {params.replace('+', ' and ')}"
  return f"{stat.partition('(')[0]}{of} ({when})"
