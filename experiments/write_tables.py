"""Writes the table of methods into the README: make docs."""

import pathlib

from rlvr_jax import methods
from rlvr_jax.report import catalogue

README = pathlib.Path(__file__).parent.parent / "README.md"


def main() -> None:
  """Puts `methods.table()` between the README's marks."""
  table = catalogue.markdown(methods.table())
  README.write_text(catalogue.inserted(README.read_text(), table))


if __name__ == "__main__":
  main()
