"""Docstrings as reStructuredText, which Sphinx reads.

Ours are plain text: paragraphs, formulas that are indented below the line that
introduces them, lists with dashes, and headings with what belongs to them.
"""

import ast
import functools
import inspect
import re
import textwrap

from rlvr_jax.laws import HEADINGS

_NAMED = ("Args", "Attributes", "Raises", "Metrics")  # lists of "name: meaning"
_HEADING = re.compile(rf"({'|'.join({*HEADINGS, *_NAMED, 'Returns'})}):\s*(.*)")
_NAME = re.compile(r"^(?=\S+: )", re.MULTILINE)
_PAPER = re.compile(r"arXiv[ \n](\d{4}\.\d{5})")
# They mean something to Sphinx and nothing in our docstrings.
_MARK = re.compile(r"([\\*|`]|_(?!\w))")


def edit(
  app: object,
  what: str,
  name: str,
  value: object,
  options: object,
  lines: list[str],
) -> None:
  """Rewrites a docstring in place; called by Sphinx's autodoc."""
  del app, name, options
  text = rest(inspect.cleandoc("\n".join(lines)))
  lines[:] = (text + (fields(value) if what == "class" else "")).splitlines()


def skips(
  app: object,
  what: str,
  name: str,
  value: object,
  skip: bool,
  options: object,
) -> bool | None:
  """Whether a member is left out; called by Sphinx's autodoc.

  Fields of records are shown with their shapes, by `fields`; what flax adds to
  a record is not of this library.
  """
  del app, what, skip, options
  field = (getattr(value, "__doc__", "") or "").startswith("Alias for field")
  return True if field or name == "replace" else None


def unsigned(
  app: object,
  what: str,
  name: str,
  value: object,
  options: object,
  signature: str | None,
  returned: str | None,
) -> tuple[str, None] | None:
  """Leaves out the arguments of a record, which are its fields."""
  del app, name, options, signature, returned
  return ("", None) if what == "class" and fields(value) else None


def rest(doc: str) -> str:
  """A docstring as reStructuredText.

  Args:
    doc: without the indentation of the code.
  """
  told, heading, body = [], "", []
  for line in [*doc.splitlines(), "Returns:"]:  # The last one ends the others.
    match = _HEADING.fullmatch(line)
    if not match and (line.startswith(" ") or not line or not heading):
      body.append(line)
      continue
    told.append(_section(heading, body))
    heading, first = match.groups() if match else ("", line)
    body = [first]
  return "\n".join(told)


def _section(heading: str, body: list[str]) -> str:
  first, more = "".join(body[:1]), textwrap.dedent("\n".join(body[1:]))
  text = f"{first}\n{more}".strip("\n")
  if not heading:
    return blocks("\n".join(body))
  inside = _entries(text) if heading in _NAMED else blocks(text)
  shown = "Arguments" if heading == "Args" else heading
  return f"\n:{shown}:\n{textwrap.indent(inside, '  ')}\n"


def _entries(text: str) -> str:
  """A list of "name: meaning"."""
  told = []
  for entry in filter(str.strip, _NAME.split(text)):
    name, _, meaning = entry.partition(": ")
    if not meaning:
      told.append(blocks(entry))
      continue
    first, _, more = meaning.partition("\n")
    inside = blocks(f"{first}\n{textwrap.dedent(more)}".strip())
    item = textwrap.indent(f"``{name}``: {inside.strip()}", "  ")
    told.append(f"* {item.strip()}\n")
  return "\n".join(told)


def blocks(text: str) -> str:
  """Paragraphs, lists with dashes, and formulas where lines are indented.

  Args:
    text: without headings.
  """
  told, inside = [], ""
  for line in text.splitlines():
    indented = line.startswith(" ")
    if line.startswith("- "):
      kind = "list"
    elif indented:
      kind = "list" if inside == "list" else "formula"
    else:
      kind = "paragraph" if line else ""
    if kind != inside:
      told += ["", "::", ""] if kind == "formula" else [""]
    told.append("  " + line if kind == "formula" else _inline(line))
    inside = kind
  return "\n".join(told) + "\n"


def _inline(line: str) -> str:
  """A line whose marks mean what they mean in our docstrings."""
  parts = line.split("`")
  for place, part in enumerate(parts):
    code = place % 2 and place + 1 < len(parts)
    parts[place] = f"``{part}``" if code else _MARK.sub(r"\\\1", part)
  return _PAPER.sub(r"`arXiv \1 <https://arxiv.org/abs/\1>`__", "".join(parts))


@functools.cache
def fields(kind: type) -> str:
  """The fields of a record as its source has them, with their shapes.

  Args:
    kind: a class.
  """
  source = textwrap.dedent(inspect.getsource(kind))
  body = ast.parse(source).body[0].body
  places = [x for x in body if isinstance(x, ast.AnnAssign)]
  if not places:
    return ""
  first, last = places[0].lineno - 1, places[-1].end_lineno
  shown = textwrap.dedent("\n".join(source.splitlines()[first:last]))
  return f"\n.. code-block:: python\n\n{textwrap.indent(shown, '  ')}\n"
