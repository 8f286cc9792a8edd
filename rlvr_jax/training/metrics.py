"""Writes one line of numbers per step: JSON always, TensorBoard beside it."""

import io
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from absl import logging
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog


class Writer(Protocol):
  """Somewhere metrics go."""

  def write(self, step: int, line: Mapping[str, float]) -> None:
    """Writes the numbers of one step."""

  def close(self) -> None:
    """Flushes."""


class JsonWriter:
  """`metrics.jsonl` and the like: one JSON object a step, null for NaN.

  A line that cannot be written waits for the next one. A file that is deleted
  is made again, with the lines from then on.

  Args:
    path: of the file. Lines of steps from `start` on, left by a run that was
      killed after its last checkpoint, are dropped; so are damaged lines.
    start: first step that will be written.
  """

  def __init__(self, path: str | os.PathLike, start: int = 0):
    self._path, self._waiting = pathlib.Path(path), ""
    kept = [text for text, step in _lines(self._path) if step < start]
    partial = self._path.with_suffix(".partial")
    partial.write_text("".join(text + "\n" for text in kept))
    partial.replace(self._path)

  def write(
    self, step: int, line: Mapping[str, float | Sequence[float]]
  ) -> None:
    """Appends one line; in lists whole numbers stay what they are.

    Raises:
      OSError: it cannot be written now.
    """
    numbers = {k: _written(v) for k, v in line.items()}
    self._waiting += json.dumps({"step": step, **numbers}) + "\n"
    self._path.parent.mkdir(parents=True, exist_ok=True)
    with self._path.open("ab", buffering=0) as file:
      size = file.tell()
      try:
        self._append(file, self._waiting.encode())
      except OSError:
        file.truncate(size)  # Half a line would hide those after it.
        raise
    self._waiting = ""

  def close(self) -> None:
    """Nothing is open between lines."""

  def _append(self, file: io.FileIO, text: bytes) -> None:
    while text:
      text = text[file.write(text) :]


class TensorBoardWriter:
  """Event files for TensorBoard, by tensorboardX.

  Written here and not in the thread that tensorboardX would start: after an
  error that thread is gone, and everybody would wait for it for ever.

  Args:
    folder: of the event files.
    start: first step that will be written; later ones of an earlier run are
      purged by TensorBoard.
  """

  def __init__(self, folder: str | os.PathLike, start: int = 0):
    os.makedirs(folder, exist_ok=True)
    self._file = EventsWriter(os.path.join(folder, "events"))
    begin = SessionLog(status=SessionLog.START)
    self._file.write_event(Event(step=start, session_log=begin))

  def write(self, step: int, line: Mapping[str, float]) -> None:
    """Writes every number as a scalar; NaN, which no curve shows, is not.

    Raises:
      OSError: it cannot be written now.
    """
    for name, value in line.items():
      if not math.isnan(value):
        scalar = summary.scalar(name, value)
        now = time.time()
        self._file.write_event(Event(wall_time=now, step=step, summary=scalar))
    self._file.flush()

  def close(self) -> None:
    """Flushes and closes."""
    self._file.close()


class Patient:
  """A writer whose failures do not stop a run: the first one is told.

  Args:
    writer: that may fail.
    name: of what it writes, for the warning.
  """

  def __init__(self, writer: Writer, name: str):
    self._writer, self._name, self._told = writer, name, False

  def write(self, step: int, line: Mapping[str, float]) -> None:
    """Writes, or warns."""
    self._try(lambda: self._writer.write(step, line))

  def close(self) -> None:
    """Closes, or warns."""
    self._try(self._writer.close)

  def _try(self, act: Callable[[], None]) -> None:
    try:
      act()
    except OSError as error:
      if not self._told:
        logging.warning(
          "%s cannot be written (%s); training goes on, and this is said once",
          *(self._name, error),
        )
      self._told = True


def mean_over_updates(lines: list[dict[str, float]]) -> dict[str, float]:
  """One number per metric of the updates of a step.

  Names ending in _max or _min take the extreme. The mismatch is that of the
  first update, when trainer and sampler still hold the same parameters. Updates
  without a token that counts, as where nothing is replayed, are left out unless
  all are such.
  """
  lines = [x for x in lines if x.get("loss/tokens", 1) > 0] or lines

  def one(name, values):
    if name.startswith("mismatch/"):
      return values[0]
    if name.endswith("_max"):
      return max(values)
    if name.endswith("_min"):
      return min(values)
    return sum(values) / len(values)

  return {k: one(k, [line[k] for line in lines]) for k in lines[0]}


def last_step(path: str | os.PathLike) -> int | None:
  """The step of the last whole line of a metrics file; None without lines."""
  steps = [step for _, step in _lines(pathlib.Path(path))]
  return steps[-1] if steps else None


def _written(value):
  if isinstance(value, list):
    return [x if isinstance(x, int) else _short(x) for x in value]
  return _short(value)


def _short(value: float) -> float | None:
  """The shortest decimal that is the same float32."""
  return float(str(np.float32(value))) if math.isfinite(value) else None


def _lines(path):
  """The whole lines of a metrics file as (text, step); damaged ones are told.

  Numbers of a step that nobody can read are no reason to lose all others.
  """
  if not path.exists():
    return
  for number, written in enumerate(path.read_bytes().splitlines(), 1):
    try:
      text = written.decode()
      step = int(json.loads(text)["step"])
    except (ValueError, TypeError, KeyError) as error:
      logging.warning("%s, line %d is dropped: %r", path, number, error)
    else:
      yield text, step
