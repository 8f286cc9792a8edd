"""Runs the notebooks and keeps what their cells show: make notebooks.

python -m experiments.run_notebooks compose own_method

Without names all are run. Each runs from top to bottom in a kernel of its own,
on CPU; the file then holds the outputs and a digest of the cells that made
them, and nothing that tells of the machine.
"""

import hashlib
import os
import pathlib
import sys
import tempfile

import nbclient
import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = pathlib.Path(__file__).parent / "notebooks"
ROOT = FOLDER.parents[1]
SECONDS = 1800  # that a cell, or the start of the kernel, may take
METADATA = {
  "kernelspec": {
    "display_name": "Python 3",
    "language": "python",
    "name": "python3",
  },
  "language_info": {"name": "python"},
}


def execute(path: pathlib.Path) -> NotebookNode:
  """Runs all cells of a notebook.

  Args:
    path: of the notebook; it is only read.

  Returns:
    The notebook with the outputs of this run, as it is kept.

  Raises:
    CellExecutionError: a cell failed; the message holds the cell and the
      traceback.
  """
  notebook = nbformat.read(path, as_version=4)
  with tempfile.TemporaryDirectory() as folder:
    # Sockets in a folder of this user, not ports that all on the machine reach.
    sockets = {"transport": "ipc", "ip": os.path.join(folder, "kernel")}
    client = nbclient.NotebookClient(
      notebook,
      timeout=SECONDS,
      startup_timeout=SECONDS,
      kernel_name="python3",
      resources={"metadata": {"path": os.fspath(path.parent)}},
      record_timing=False,
      config=Config(ConnectionFileMixin=sockets),
    )
    client.execute(env=_environment(folder))
  return _kept(notebook)


def digest(notebook: NotebookNode) -> str:
  """The sha256 of the code of a notebook."""
  code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
  return hashlib.sha256("\0".join(code).encode()).hexdigest()


def _environment(folder: str) -> dict[str, str]:
  """Of the kernel: this library, one CPU device, no settings of the user."""
  paths = [os.fspath(ROOT), os.environ.get("PYTHONPATH", "")]
  return os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    "IPYTHONDIR": folder,
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "",
  }


def _kept(notebook: NotebookNode) -> NotebookNode:
  for number, cell in enumerate(notebook.cells):
    cell.id = f"cell-{number}"
    cell.metadata = NotebookNode()
  notebook.metadata = nbformat.from_dict(
    METADATA | {"rlvr_jax": {"sha256_of_code": digest(notebook)}}
  )
  return notebook


def main(names: list[str]) -> None:
  """Runs the notebooks of these names, or all, and writes them again."""
  paths = [FOLDER / f"{name}.ipynb" for name in names]
  for path in paths or sorted(FOLDER.glob("*.ipynb")):
    print(path.relative_to(ROOT), flush=True)
    nbformat.write(execute(path), path)


if __name__ == "__main__":
  main(sys.argv[1:])
