"""Checkpoints of a run through Orbax: the only file that knows of it."""

import os

import jax
import orbax.checkpoint as ocp

from rlvr_jax.types import PyTree


class Checkpoints:
  """The checkpoints of one folder, newest kept.

  Saving is asynchronous and atomic: a process killed while saving leaves the
  previous checkpoint as the latest one.

  Args:
    folder: made if missing.
    keep: how many to keep.
  """

  def __init__(self, folder: str | os.PathLike, keep: int = 2):
    options = ocp.CheckpointManagerOptions(
      max_to_keep=keep, cleanup_tmp_directories=True
    )
    path = os.path.abspath(os.fspath(folder))
    self._manager = ocp.CheckpointManager(path, options=options)

  def latest(self) -> int | None:
    """The step of the newest committed checkpoint; None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, tree: PyTree) -> None:
    """Starts saving; an error of an earlier save shows here or in `close`."""
    self._manager.save(step, args=ocp.args.StandardSave(tree))

  def restore(self, step: int, like: PyTree) -> PyTree:
    """Reads a checkpoint into the shapes and shardings of `like`.

    Args:
      step: of the checkpoint.
      like: arrays or ShapeDtypeStructs with shardings.

    Returns:
      The tree as saved, bit for bit, laid out like `like`.
    """
    shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    return self._manager.restore(step, args=ocp.args.StandardRestore(shapes))

  def close(self) -> None:
    """Waits until everything is on disk."""
    self._manager.wait_until_finished()
    self._manager.close()
