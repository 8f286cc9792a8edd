"""Repeats the update that stopped a run and shows where it broke.

python -m experiments.replay runs/steer/refused/step12-update3

The folder is the one that the run named when it stopped. On the same kind and
number of devices loss and gradient norm come out the same, bit for bit.
"""

import pathlib
import sys

from rlvr_jax.training import command, replay


def main(folder: str) -> None:
  """Runs `training.replay.replay` and prints what it found."""
  found = replay.replay(pathlib.Path(folder))
  print(replay.text(found))
  if not found.same:
    sys.exit(1)


if __name__ == "__main__":
  command.run(main, "DUMP")
