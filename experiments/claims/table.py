"""Writes docs/results/claims.md from the outcomes that are kept beside it.

python -m experiments.claims.table --workdir=runs/claims

With --workdir it takes over the outcomes and figures of that folder first.
"""

import pathlib

from absl import flags

from experiments.claiming import collected, program
from rlvr_jax.training import command

_WORKDIR = flags.DEFINE_string("workdir", None, "folder of all claims")


def main() -> None:
  """Takes over what is new and writes the page."""
  if _WORKDIR.value:
    collected.take_over(pathlib.Path(_WORKDIR.value) / program.FOLDER)
  collected.PAGE.write_text(collected.text())


if __name__ == "__main__":
  command.run(main)
