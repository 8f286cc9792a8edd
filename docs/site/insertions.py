"""What the site adds to the pages of docs/, which can be read without it.

- The lists of links on the first page are the navigation.
- A section of docs/methods that is named after a method gets its reference:
  the docstring, how to make it and run it, and what it did.
- A section of docs/reference that is named after a module gets what the module
  offers.
"""

import functools
import importlib
import inspect
import pathlib
import pkgutil
import re
import types
from collections.abc import Callable
from typing import NamedTuple

import rlvr_jax
from configs import recipe
from rlvr_jax import methods

DOCS = pathlib.Path(__file__).parent.parent
SECTION = re.compile(r"^## `([\w.]+)`\n(?:\n\[code\].*\n)?", re.MULTILINE)
_CHAPTER = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"^- \[([^]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)


class Chapter(NamedTuple):
  """A part of the navigation."""

  title: str
  pages: dict[str, str]  # page to title


def edit(app: object, page: str, source: list[str]) -> None:
  """Rewrites a page in place; Sphinx calls it before it reads the page."""
  del app
  folder = page.rpartition("/")[0]
  added = {"methods": _method, "reference": _module}.get(folder)
  if page == "index":
    source[0] += "".join(map(_tree, chapters()))
  elif added:
    source[0] = _extended(source[0], added)
  elif not source[0].startswith("# "):  # A table that a program has written.
    source[0] = f"# {titles()[page]}\n\n{source[0]}"


def chapters() -> list[Chapter]:
  """The lists of links on the first page, with the headings above them."""
  _, *parts = _CHAPTER.split((DOCS / "index.md").read_text())
  links = (
    {page: title for title, page in _LINK.findall(x)} for x in parts[1::2]
  )
  return [Chapter(*one) for one in zip(parts[::2], links) if one[1]]


def titles() -> dict[str, str]:
  """What the navigation calls each page."""
  return {page: c.pages[page] for c in chapters() for page in c.pages}


def _tree(chapter: Chapter) -> str:
  listed = "".join(
    f"{title} <{page}>\n" for page, title in chapter.pages.items()
  )
  options = f":hidden:\n:caption: {chapter.title}\n"
  return f"\n```{{toctree}}\n{options}\n{listed}```\n"


def _extended(page: str, added: Callable[[str], str]) -> str:
  """The page with more at the end of each section that SECTION finds."""
  start, *parts = SECTION.split(page)
  told = [
    f"## `{name}`\n{text}\n{added(name)}\n\n"
    for name, text in zip(parts[::2], parts[1::2])
  ]
  return start + "".join(told)


def _method(name: str) -> str:
  entry = methods.CATALOGUE[name]
  given = "".join(f", {k}={v!r}" for k, v in entry.example.items())
  chain = ", ".join(f"`{part}`" for part in recipe.of(name).chain)
  factory = f"{entry.factory.__module__}.{entry.factory.__name__}"
  return f"""
| make | `rlvr_jax.make("{name}"{given})` |
|---|---|
| run | `--config=configs/methods/{name}.py`: {chain}, as published; with \
`:runlocal` behind it on the quickstart task |
| hooks | {", ".join(_hooks()[name])} |
| result | {_result(name)} |

<details>
<summary>Arguments, edits, state, metrics and source</summary>

{_directive("autofunction", factory)}

</details>
"""


@functools.cache
def _hooks() -> dict[str, tuple[str, ...]]:
  return {line.name: line.hooks for line in methods.table()}


def _result(name: str) -> str:
  """What 100 steps of the quickstart gave, and where to read of the method."""
  told = ", ".join(
    f"[{title}](../{page}.md)"
    for page, title in titles().items()
    if page.startswith("results/")
    if f"`{name}`" in (DOCS / f"{page}.md").read_text()
  )
  row = _summary().get(name)
  if not row:
    return told or "none yet"
  return (
    "in 100 steps on the quickstart task the entropy went from "
    f"{row['first entropy (nats)']} to {row['final entropy (nats)']} nats; "
    f"pass@1 {row['pass@1']}, {row['distinct right']} distinct right answers "
    f"of 16 ({told})"
  )


@functools.cache
def _summary() -> dict[str, dict[str, str]]:
  """The table of all runs: method to column to cell."""
  lines = (DOCS / "results" / "summary.md").read_text().splitlines()
  cells = [[x.strip() for x in line.split("|")[1:-1]] for line in lines]
  header, _, *rows = filter(None, cells)
  return {row[0]: dict(zip(header, row)) for row in rows}


def _module(name: str) -> str:
  module = importlib.import_module(name)
  told = [_members(module)]
  for part in parts(module):
    told.append(f"### `{part.__name__}`\n\n{_members(part)}")
  return "\n\n".join(told)


def _members(module: types.ModuleType) -> str:
  """The module's own words, and the reference of what it offers."""
  first = {getattr(rlvr_jax, name) for name in offers(rlvr_jax)}
  names = [
    name
    for name in offers(module)
    if module is rlvr_jax or getattr(module, name) not in first
  ]
  name = module.__name__
  links = " · ".join(f":py:obj:`~{name}.{one}`" for one in names)
  listed = (f":members: {', '.join(names)}", ":imported-members:")
  members = _directive("automodule", name, *(listed if names else ()))
  return f"```{{eval-rst}}\n{links}\n```\n\n{members}" if names else members


def offers(module: types.ModuleType) -> list[str]:
  """The functions and classes that a module exports, else those it defines."""
  exported = hasattr(module, "__path__")
  names = getattr(module, "__all__", vars(module))
  found = {name: getattr(module, name) for name in names if name[0] != "_"}
  return [
    name
    for name, value in found.items()
    if inspect.isfunction(value) or inspect.isclass(value)
    if value.__module__.startswith("rlvr_jax.")
    if exported or value.__module__ == module.__name__
  ]


def parts(module: types.ModuleType) -> list[types.ModuleType]:
  """The modules of a package that exports nothing itself; else none."""
  if not hasattr(module, "__path__") or offers(module):
    return []
  found = pkgutil.iter_modules(module.__path__, module.__name__ + ".")
  return [importlib.import_module(one.name) for one in found]


def _directive(kind: str, name: str, *options: str) -> str:
  told = "".join(f"   {option}\n" for option in options)
  return f"```{{eval-rst}}\n.. {kind}:: {name}\n{told}```"
