"""The notebooks run, show what their cells make, and tell of no machine."""

import ast
import importlib
import os
import pathlib
import re
import sys

import nbclient
import nbformat
import pytest

from experiments import run_notebooks

NAMES = ("compose", "entropy_mechanics", "own_method", "read_a_run")
CHEAPEST = "entropy_mechanics"
KILOBYTES = 300
PATHS = re.compile(
  r"(?<![\w.])/(home|root|tmp|usr|opt|var|work|mnt|Users|private)/|[A-Z]:\\\\"
)

each = pytest.mark.parametrize("name", NAMES)


def path(name):
  return run_notebooks.FOLDER / f"{name}.ipynb"


def read(name):
  return nbformat.read(path(name), as_version=4)


def code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(node):
  """All texts of a notebook or a part of it, but for the pictures."""
  if isinstance(node, str):
    yield node
  elif isinstance(node, dict):
    for name, part in node.items():
      yield from () if name.startswith("image/") else texts(part)
  elif isinstance(node, list):
    for part in node:
      yield from texts(part)


def test_these_are_all_notebooks():
  found = {each.stem for each in run_notebooks.FOLDER.glob("*.ipynb")}
  assert found == set(NAMES)


@pytest.mark.parametrize(
  "name",
  [
    name if name == CHEAPEST else pytest.param(name, marks=pytest.mark.long)
    for name in NAMES
  ],
)
def test_a_notebook_runs_from_top_to_bottom(name):
  notebook = run_notebooks.execute(path(name))
  assert notebook.metadata == read(name).metadata
  for ran, kept in zip(code(notebook), code(read(name)), strict=True):
    kinds = [[o.output_type for o in cell.outputs] for cell in (ran, kept)]
    assert kinds[0] == kinds[1], ran.source


@each
def test_the_outputs_are_those_of_the_cells(name):
  notebook = read(name)
  told = notebook.metadata["rlvr_jax"]["sha256_of_code"]
  assert told == run_notebooks.digest(notebook), "run make notebooks"
  counts = [cell.execution_count for cell in code(notebook)]
  assert counts == list(range(1, len(counts) + 1))
  kinds = {o.output_type for cell in code(notebook) for o in cell.outputs}
  assert kinds <= {"stream", "execute_result"}
  streams = [o for cell in code(notebook) for o in cell.outputs if "name" in o]
  assert {stream.name for stream in streams} <= {"stdout"}  # no warnings


@each
def test_what_a_notebook_imports_exists(name):
  for cell in code(read(name)):
    for node in ast.walk(ast.parse(cell.source)):
      if isinstance(node, ast.Import):
        for alias in node.names:
          importlib.import_module(alias.name)
      if isinstance(node, ast.ImportFrom):
        module = importlib.import_module(node.module)
        for alias in node.names:
          if not hasattr(module, alias.name):
            importlib.import_module(f"{node.module}.{alias.name}")


@each
def test_a_notebook_tells_of_no_machine(name):
  notebook = read(name)
  own = {
    os.fspath(run_notebooks.ROOT),
    sys.prefix,
    os.fspath(pathlib.Path.home()),
  }
  for text in texts(notebook):
    assert not PATHS.search(text), text
    assert not [place for place in own if place in text], text
  kept = {k: v for k, v in notebook.metadata.items() if k != "rlvr_jax"}
  assert kept == run_notebooks.METADATA
  assert not any(cell.metadata for cell in notebook.cells)


@each
def test_a_notebook_is_small_and_valid(name):
  nbformat.validate(read(name))
  assert path(name).stat().st_size < KILOBYTES * 1000


def test_links_of_the_notebooks_lead_somewhere():
  pages = [(run_notebooks.FOLDER / "README.md").read_text()]
  pages += [cell.source for name in NAMES for cell in read(name).cells]
  targets = re.findall(r"\]\(([\w/.]+)\)", "\n".join(pages))
  assert {f"{name}.ipynb" for name in NAMES} <= set(targets)
  missing = [t for t in targets if not (run_notebooks.FOLDER / t).exists()]
  assert not missing


def test_a_cell_that_fails_is_told_with_its_traceback(tmp_path):
  cell = nbformat.v4.new_code_cell("1 / 0")
  broken = tmp_path / "broken.ipynb"
  nbformat.write(nbformat.v4.new_notebook(cells=[cell]), broken)
  with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDiv"):
    run_notebooks.execute(broken)
