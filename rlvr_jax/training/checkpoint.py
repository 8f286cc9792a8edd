"""Checkpoints of a run through Orbax: the only file that knows of it.

Orbax makes a save atomic; it does not notice when bits of it change later. So
every checkpoint has a note with a digest of each leaf, see `contents`, and
reading compares.
"""

import contextlib
import os
import pathlib
from collections.abc import Mapping

import jax
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

from rlvr_jax.training import config as config_lib
from rlvr_jax.training import contents, damage
from rlvr_jax.training.contents import Facts, Note
from rlvr_jax.types import PyTree

Parts = Mapping[str, PyTree]

_FAILURES = 3  # in a row, that are too many
_NOTE = "note"  # the item beside the parts


class NotSaved(RuntimeError):
  """A checkpoint could not be written; those before it are as they were."""


class Checkpoints:
  """The checkpoints of one folder, newest kept.

  Saving is asynchronous and atomic: a process killed while saving leaves the
  previous checkpoint as the latest one.

  Args:
    folder: made if missing.
    keep: how many to keep.
    read_only: the folder is left as it is: it is not made, what looks like a
      save that was cut off may be one under way, and damage is only told.
  """

  def __init__(
    self,
    folder: str | os.PathLike,
    keep: int = 2,
    read_only: bool = False,
  ):
    self.folder = pathlib.Path(folder).absolute()
    self.read_only = read_only
    self._keep = keep
    self._open: ocp.CheckpointManager | None = None
    self._saving: int | None = None
    self._failures = 0
    self.latest()

  def steps(self) -> list[int]:
    """The committed checkpoints, newest first."""
    return sorted(self._manager.all_steps(), reverse=True)

  def latest(self) -> int | None:
    """The step of the newest committed checkpoint; None if there is none."""
    return self._manager.latest_step()

  def damaged(self) -> list[str]:
    """Names of the checkpoints that were set aside."""
    return sorted(path.name for path in self.folder.glob("*.corrupt*"))

  def save(self, step: int, parts: Parts, facts: Facts | None = None) -> None:
    """Starts saving trees by name; a save that fails is told and left out.

    Args:
      step: after which they are as they are.
      parts: what can be read by itself.
      facts: for the note.

    Raises:
      NotSaved: for the third time in a row.
    """
    self.settle()
    try:
      self._start(step, parts, facts or {})
    except Exception as error:
      self._failed(step, error)

  def commit(self, step: int, parts: Parts, facts: Facts | None = None) -> None:
    """Saves unless it is saved already, and waits until it is on disk.

    Args:
      step: as for `save`.
      parts: as for `save`.
      facts: as for `save`.

    Raises:
      NotSaved: it could not be written.
    """
    with contextlib.suppress(NotSaved):  # This one has its own try.
      self.settle()
    try:
      if self.latest() != step:
        self._start(step, parts, facts or {})
        self._manager.wait_until_finished()
    except Exception as error:
      self._open = None
      raise self._not_saved(step, error) from error
    finally:
      self._saving = None

  def settle(self) -> None:
    """Waits for the save under way and tells if it failed.

    Raises:
      NotSaved: it is the third in a row.
    """
    if self._saving is None:
      return
    try:
      self._manager.wait_until_finished()
    except Exception as error:
      self._failed(self._saving, error)
    else:
      self._failures = 0
    self._saving = None

  def note(self, step: int) -> Note:
    """What a checkpoint says of itself; all processes must ask.

    Args:
      step: of the checkpoint.

    Raises:
      ConfigError: it has no note.
      Damaged: the note is not as it was written, or a process cannot read it.
      OSError: it cannot be read now, though it may be whole.
    """
    if not (self.folder / str(step) / _NOTE).is_dir():
      raise config_lib.ConfigError(
        f"{self.folder / str(step)} has no note of what it holds: it was "
        "written by an older version, before checkpoints had notes. Go on with "
        "that version, or move the folder away."
      )
    args = ocp.args.Composite(**{_NOTE: ocp.args.JsonRestore()})
    with damage.agreed(f"the note of step {step}"):
      found = self._read(step, args)[_NOTE]
      return contents.read(found, f"the note of step {step}")

  def restore(self, step: int, like: Parts) -> dict[str, PyTree]:
    """Reads parts of a checkpoint into the shapes and shardings of `like`.

    Args:
      step: of the checkpoint.
      like: arrays or ShapeDtypeStructs with shardings.

    Returns:
      The parts as saved, bit for bit, laid out like `like`.

    Raises:
      ConfigError: it has no note.
      Damaged: a process cannot read them, or a digest differs.
      OSError: they cannot be read now, though they may be whole.
    """
    note = self.note(step)
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, _filled(like))
    args = {name: ocp.args.StandardRestore(x) for name, x in shapes.items()}
    with damage.agreed(f"step {step}"):
      read = self._read(step, ocp.args.Composite(**args))
      found = {**like, **{name: read[name] for name in args}}
    for name, part in found.items():
      contents.verify(name, part, note.parts[name])
    return found

  def set_aside(self, step: int) -> str:
    """Renames a damaged checkpoint so that nobody reads it; the new name."""
    taken = self.damaged()
    names = [f"{step}.corrupt", *(f"{step}.corrupt-{n}" for n in range(2, 100))]
    name = next(name for name in names if name not in taken)
    multihost_utils.sync_global_devices(f"found {name}")
    if jax.process_index() == 0:
      (self.folder / str(step)).rename(self.folder / name)
    multihost_utils.sync_global_devices(f"set aside {name}")
    self._open = None
    return name

  def close(self) -> None:
    """Waits for a save under way; if it fails, that is told."""
    with contextlib.suppress(NotSaved):
      self.settle()
    if self._open is not None:
      self._open.close()

  @property
  def _manager(self) -> ocp.CheckpointManager:
    """One that knows what the folder holds.

    After a failed save it is a new one: the old goes on naming that step.
    """
    if self._open is None:
      options = ocp.CheckpointManagerOptions(
        max_to_keep=self._keep,
        create=not self.read_only,
        cleanup_tmp_directories=not self.read_only,
      )
      folder = os.fspath(self.folder)
      self._open = ocp.CheckpointManager(folder, options=options)
    return self._open

  def _read(self, step: int, args: ocp.args.Composite) -> ocp.args.Composite:
    """Reads without waiting for other processes: theirs may have failed."""
    me = jax.process_index()
    options = ocp.CheckpointManagerOptions(
      create=False,
      multiprocessing_options=ocp.options.MultiprocessingOptions(
        primary_host=me,
        active_processes={me},
        barrier_sync_key_prefix=f"process{me}",
      ),
    )
    folder = os.fspath(self.folder)
    with ocp.CheckpointManager(folder, options=options) as reader:
      return reader.restore(step, args=args)

  def _start(self, step: int, parts: Parts, facts: Facts) -> None:
    items = {n: ocp.args.StandardSave(x) for n, x in _filled(parts).items()}
    items[_NOTE] = ocp.args.JsonSave(contents.written(facts, parts))
    self._saving = step
    self._manager.save(step, args=ocp.args.Composite(**items))

  def _failed(self, step: int, error: Exception) -> None:
    self._saving = self._open = None
    self._failures += 1
    failed = self._not_saved(step, error)
    logging.warning("%s (failure %d in a row)", failed, self._failures)
    if self._failures >= _FAILURES:
      raise failed from error

  def _not_saved(self, step: int, error: Exception) -> NotSaved:
    return NotSaved(
      f"the checkpoint of step {step} could not be written to {self.folder}: "
      f"{damage.told(error)}. Make room, or make the folder writable; the same "
      "command goes on from the checkpoints before it."
    )


def _filled(parts: Parts) -> dict[str, PyTree]:
  """The parts that hold arrays; of others there is nothing to write."""
  return {name: part for name, part in parts.items() if jax.tree.leaves(part)}
