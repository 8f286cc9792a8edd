"""Checkpoints of a run through Orbax: the only file that knows of it.

Orbax makes a save atomic; it does not notice when bits of it change later. So
every checkpoint has a note with a digest of each leaf, see `digest`, and
reading compares.
"""

import contextlib
import errno
import json
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

import rlvr_jax
from rlvr_jax import processes
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import digest
from rlvr_jax.types import PyTree

Parts = Mapping[str, PyTree]
Facts = Mapping[str, str | list[str]]

_FAILURES = 3  # in a row, that are too many
_NOTE = "note"  # the item beside the parts
# Errors of reading that tell of the machine, or of who may read, not of files.
_ELSEWHERE = (
  *(errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM),
  *(errno.ESTALE, errno.ETIMEDOUT),
)


class Damaged(Exception):
  """A checkpoint that is not as it was saved; the message says where."""


class NotSaved(RuntimeError):
  """A checkpoint could not be written; those before it are as they were."""


class Leaf(NamedTuple):
  """What a note tells of an array."""

  dtype: str
  shape: tuple[int, ...]
  digest: int

  def __str__(self) -> str:
    return f"{self.dtype}{list(self.shape)}"


class Note(NamedTuple):
  """What a checkpoint says of itself."""

  version: str  # of the code that wrote it
  facts: Facts
  parts: dict[str, dict[str, Leaf]]  # leaves by path


def leaves(tree: PyTree) -> dict[str, Leaf]:
  """The shapes of a tree as a note tells them, with digests of 0."""
  found = zip(digest.paths(tree), jax.tree.leaves(tree))
  return {path: Leaf(str(x.dtype), x.shape, 0) for path, x in found}


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
    with _agreed(f"the note of step {step}"):
      found = self._read(step, args)[_NOTE]
      checksum = found.pop("checksum")
      if checksum != _checksum(found):
        raise Damaged(f"the note of step {step} is not as it was written")
      parts = {
        name: {path: Leaf(d, tuple(s), n) for path, (d, s, n) in part.items()}
        for name, part in found["parts"].items()
      }
      return Note(found["version"], found["facts"], parts)

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
    with _agreed(f"step {step}"):
      read = self._read(step, ocp.args.Composite(**args))
      found = {**like, **{name: read[name] for name in args}}
    for name, part in found.items():
      _verify(name, part, note.parts[name])
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
    note = {
      "version": rlvr_jax.__version__,
      "facts": dict(facts),
      "parts": {name: _contents(part) for name, part in parts.items()},
    }
    note["checksum"] = _checksum(note)
    items = {n: ocp.args.StandardSave(x) for n, x in _filled(parts).items()}
    items[_NOTE] = ocp.args.JsonSave(note)
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
      f"{_told(error)}. Make room, or make the folder writable; the same "
      "command goes on from the checkpoints before it."
    )


def _filled(parts: Parts) -> dict[str, PyTree]:
  """The parts that hold arrays; of others there is nothing to write."""
  return {name: part for name, part in parts.items() if jax.tree.leaves(part)}


def _contents(part: PyTree) -> dict[str, Leaf]:
  known = digest.of(part)
  return {
    path: leaf._replace(digest=known[path])
    for path, leaf in leaves(part).items()
  }


def _verify(name: str, part: PyTree, held: Mapping[str, Leaf]) -> None:
  for path, value in digest.of(part).items():
    if value != held[path].digest:
      raise Damaged(
        f"{name}: {path} has other bits than were saved, its digest is "
        f"{value:08x} and not {held[path].digest:08x}"
      )


def _checksum(note: dict) -> int:
  return zlib.crc32(json.dumps(note, sort_keys=True).encode())


@contextlib.contextmanager
def _agreed(what: str) -> Iterator[None]:
  """What one process cannot read, all of them hold for damaged.

  Any error of reading is damage: Orbax raises many kinds, even Exception.
  """
  damage = None
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError):
    raise  # Of too little memory the files are not to blame.
  except Exception as error:
    if _elsewhere(error):
      raise OSError(
        f"{what} cannot be read now: {_told(error)}. It may be whole and is "
        "left where it is; mend that and start the same command again."
      ) from error
    damage = _damaged(what, error)
  told = processes.exchange(None if damage is None else str(damage))
  for each in filter(None, told):
    raise Damaged(each) from damage


def _damaged(what: str, error: Exception) -> Damaged:
  if isinstance(error, Damaged):
    return error
  damage = Damaged(f"{what} cannot be read: {_told(error)}")
  damage.__cause__ = error
  return damage


def _elsewhere(error: BaseException | None) -> bool:
  """Whether the machine is to blame; TensorStore tells the number in words."""
  if error is None:
    return False
  words = (f"os_error_code='{code}'" for code in _ELSEWHERE)
  told = getattr(error, "errno", None) in _ELSEWHERE
  told = told or any(each in str(error) for each in words)
  return told or _elsewhere(error.__cause__)


def _told(error: Exception) -> str:
  """The kind of an error and its first line."""
  lines = str(error).strip().splitlines() or [""]
  return f"{type(error).__name__}: {lines[0]:.300}"
