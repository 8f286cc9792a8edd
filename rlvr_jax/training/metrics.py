"""Writes one line of numbers per step: JSON always, TensorBoard beside it."""

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorboardX


class Writer(Protocol):
  """Somewhere metrics go."""

  def write(self, step: int, line: Mapping[str, float]) -> None:
    """Writes the numbers of one step."""

  def close(self) -> None:
    """Flushes."""


class JsonWriter:
  """`metrics.jsonl` and the like: one JSON object a step, null for NaN.

  Args:
    path: of the file. Lines of steps from `start` on, left by a run that was
      killed after its last checkpoint, are dropped; so is a cut last line.
    start: first step that will be written.
  """

  def __init__(self, path: str | os.PathLike, start: int = 0):
    path = pathlib.Path(path)
    kept = [text for text, line in _lines(path) if line["step"] < start]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(text + "\n" for text in kept))
    partial.replace(path)
    self._file = path.open("a", buffering=1)

  def write(
    self, step: int, line: Mapping[str, float | Sequence[float]]
  ) -> None:
    """Appends one line; in lists whole numbers stay what they are."""
    numbers = {k: _written(v) for k, v in line.items()}
    self._file.write(json.dumps({"step": step, **numbers}) + "\n")

  def close(self) -> None:
    """Closes the file."""
    self._file.close()


class TensorBoardWriter:
  """Event files for TensorBoard, by tensorboardX.

  Args:
    folder: of the event files.
    start: first step that will be written; later ones of an earlier run are
      purged by TensorBoard.
  """

  def __init__(self, folder: str | os.PathLike, start: int = 0):
    self._writer = tensorboardX.SummaryWriter(
      os.fspath(folder), purge_step=start
    )

  def write(self, step: int, line: Mapping[str, float]) -> None:
    """Writes every number as a scalar; NaN, which no curve shows, is not."""
    for name, value in line.items():
      if not math.isnan(value):
        self._writer.add_scalar(name, value, step)

  def close(self) -> None:
    """Flushes and closes."""
    self._writer.close()


def mean_over_updates(lines: list[dict[str, float]]) -> dict[str, float]:
  """One number per metric of the updates of a step.

  Names ending in _max or _min take the extreme. The mismatch is that of the
  first update, when trainer and sampler still hold the same parameters.
  """

  def one(name, values):
    if name.startswith("mismatch/"):
      return values[0]
    if name.endswith("_max"):
      return max(values)
    if name.endswith("_min"):
      return min(values)
    return sum(values) / len(values)

  return {k: one(k, [line[k] for line in lines]) for k in lines[0]}


def _written(value):
  if isinstance(value, list):
    return [x if isinstance(x, int) else _short(x) for x in value]
  return _short(value)


def _short(value: float) -> float | None:
  """The shortest decimal that is the same float32."""
  return float(str(np.float32(value))) if math.isfinite(value) else None


def _lines(path):
  """The whole lines of a metrics file as (text, object)."""
  if not path.exists():
    return
  for text in path.read_text().splitlines():
    try:
      yield text, json.loads(text)
    except json.JSONDecodeError:
      return
