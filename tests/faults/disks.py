"""Two processes that keep checkpoints on a disk that fails.

Called with a folder and a kind; each process prints what it comes to.
"""

import json
import os
import pathlib
import resource
import sys

import jax

from rlvr_jax import processes
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training import digest, resume
from rlvr_jax.training.checkpoint import Checkpoints


def weights(mesh: jax.sharding.Mesh, step: int):
  """Arrays of which every device holds a part."""
  x = jax.random.normal(jax.random.key(step), (1024, 256))
  return {"run": {"up": mesh_lib.put(x, mesh_lib.by_row(mesh))}}


def cut(folder: pathlib.Path, mesh: jax.sharding.Mesh) -> dict:
  """The arrays of the newest checkpoint are cut for one process alone."""
  checkpoints = Checkpoints(folder)
  for step in (1, 2):
    checkpoints.commit(step, weights(mesh, step))
  if processes.is_first():
    files = (folder / "2" / "run" / "ocdbt.process_1" / "d").iterdir()
    path = max(files, key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 2)
  processes.meet()
  step, found = resume.newest(checkpoints, lambda note: weights(mesh, 3))
  checkpoints.commit(3, weights(mesh, 3))
  checkpoints.close()
  same = digest.of(found) == digest.of(weights(mesh, step))
  return dict(step=step, same=same, damaged=checkpoints.damaged())


def full(folder: pathlib.Path, mesh: jax.sharding.Mesh) -> dict:
  """There is no room for two checkpoints, and then there is."""
  checkpoints = Checkpoints(folder)
  checkpoints.commit(1, weights(mesh, 1))
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  # Less than what a process writes, and more than it says.
  resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
  kept = []
  for step in (2, 3, 4):
    if step == 4:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    checkpoints.save(step, weights(mesh, step))
    checkpoints.settle()
    kept.append(checkpoints.steps())
  checkpoints.close()
  return dict(kept=kept)


def main(folder: str, kind: str) -> None:
  processes.start()
  mesh = mesh_lib.make_mesh()
  found = {"cut": cut, "full": full}[kind](pathlib.Path(folder), mesh)
  print("RESULT" + json.dumps(found))


if __name__ == "__main__":
  main(*sys.argv[1:])
