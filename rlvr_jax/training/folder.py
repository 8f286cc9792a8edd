"""The folder of a run: who may write there, and the files of its numbers."""

import contextlib
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from ml_collections import ConfigDict

from rlvr_jax import processes
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import metrics as metrics_lib
from rlvr_jax.training.checkpoint import Checkpoints

Line = Mapping[str, float]
Accuracy = Mapping[str, Sequence[float]]


def check_shared(path: pathlib.Path, patience: float = 0) -> None:
  """All processes must see the same folder, or none of them go on.

  Args:
    path: of a file that all see, or nobody.
    patience: seconds until it must be seen; a network shows new files late.
  """
  end = time.monotonic() + patience
  while not path.exists() and time.monotonic() < end:
    time.sleep(0.1)
  seen = processes.exchange(path.exists())
  if len(set(seen)) > 1:
    raise config_lib.ConfigError(
      f"{path} is there for the processes "
      f"{[number for number, there in enumerate(seen) if there]} of "
      f"{len(seen)} only; give a --workdir that all of them share."
    )


def check_not_lost(workdir: pathlib.Path, every: int) -> None:
  """A run whose checkpoints are gone must not begin anew over its metrics.

  Args:
    workdir: of the run.
    every: steps between two checkpoints.

  Raises:
    ConfigError: they are gone.
  """
  told = workdir / "metrics.jsonl"
  last = metrics_lib.last_step(told)
  # The first checkpoint may still be written when the next lines are; it is
  # settled before the second one begins.
  due = last is not None and last >= 2 * every
  kept = workdir / "checkpoints"
  if any(processes.exchange(due and _holds_none(kept))):
    raise config_lib.ConfigError(
      f"{told} goes up to step {last}, but {kept} holds no checkpoint; bring "
      "the checkpoints back, or remove metrics.jsonl to begin again, or give "
      "another --workdir."
    )


def _holds_none(folder: pathlib.Path) -> bool:
  checkpoints = Checkpoints(folder, read_only=True)
  try:
    return not (checkpoints.steps() or checkpoints.damaged())
  finally:
    checkpoints.close()


def claim(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Makes the folder of a run and writes what the run is.

  Raises:
    ConfigError: that cannot be done.
  """
  processes.meet()  # All have checked what the folder holds.
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    # A folder with an old config.json may be one to read only.
    tempfile.TemporaryFile(dir=workdir).close()
    config_lib.write(workdir / "config.json", config_lib.plain(config))
  except OSError as error:
    raise config_lib.ConfigError(
      f"--workdir={workdir} cannot be written to ({error}); give a folder "
      "that can."
    ) from error
  processes.meet()
  check_shared(workdir / "config.json", patience=60)


@contextlib.contextmanager
def writers(
  workdir: pathlib.Path, start: int, history: bool
) -> Iterator[Callable[[int, Line, Accuracy], None]]:
  """Where the numbers of a step go, and its accuracies.

  Args:
    workdir: of the run.
    start: first step that will be written.
    history: whether accuracies are written.

  Yields:
    (step, numbers, accuracies) to None, which writes them in the first process.
  """
  if not processes.is_first():
    yield lambda step, line, accuracy: None
    return

  def patient(kind, name):
    path = workdir / name
    return metrics_lib.Patient(kind(path, start), os.fspath(path))

  numbers = [
    patient(metrics_lib.JsonWriter, "metrics.jsonl"),
    patient(metrics_lib.TensorBoardWriter, "tensorboard"),
  ]
  histories = []
  if history:
    histories.append(patient(metrics_lib.JsonWriter, "accuracy.jsonl"))

  def write(step, line, accuracy):
    for writer in numbers:
      writer.write(step, line)
    for writer in histories:
      writer.write(step, accuracy)

  try:
    yield write
  finally:
    for writer in numbers + histories:
      writer.close()
