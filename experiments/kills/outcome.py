"""What two runs must have in common to be the same, bit for bit."""

import json
import pathlib

from rlvr_jax.training.checkpoint import Checkpoints


def differences(one: pathlib.Path, other: pathlib.Path, step: int) -> list[str]:
  """What differs between two finished runs, clocks apart.

  Args:
    one: folder of a run.
    other: folder of another.
    step: the last of both.

  Returns:
    Names of files and of arrays of the state, none if the runs are equal.
  """
  found = [
    name
    for name in ("metrics.jsonl", "accuracy.jsonl")
    if lines(one / name) != lines(other / name)
  ]
  a, b = state(one, step), state(other, step)
  return found + sorted(
    path for path in a.keys() | b.keys() if a.get(path) != b.get(path)
  )


def lines(path: pathlib.Path) -> list[dict]:
  """The lines of a file of metrics without what depends on the clock."""
  timed = lambda name: name.startswith("time/") or "per_second" in name
  rows = [json.loads(text) for text in path.read_text().splitlines()]
  return [{k: v for k, v in row.items() if not timed(k)} for row in rows]


def state(workdir: pathlib.Path, step: int) -> dict[str, str]:
  """Shape and digest of every array of a checkpoint, by path."""
  checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
  note = checkpoints.note(step)
  checkpoints.close()
  parts = note.parts.values()
  return {path: str(tuple(x)) for part in parts for path, x in part.items()}
