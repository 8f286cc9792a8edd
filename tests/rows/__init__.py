"""What the laws are tried on: rows of a method and its hyper-parameters."""

import importlib
import pkgutil

from rows.row import Row

_FILES = sorted(f.name for f in pkgutil.iter_modules(__path__))
TABLE: tuple[Row, ...] = tuple(
  row
  for name in _FILES
  if name != "row"
  for row in importlib.import_module(f"rows.{name}").ROWS
)
# The first row of a name stands for it in pairs.
FIRST = {row.name: row for row in reversed(TABLE)}
