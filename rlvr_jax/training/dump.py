"""What stopped a run, written down so that it can be repeated.

A folder with the configuration and the numbers of the refused update in
`dump.json`, the prepared rollout in `rollout.safetensors`, and the state as a
checkpoint, with the frozen weights if something reads them.
"""

import contextlib
import itertools
import math
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils
from safetensors.numpy import load_file, save_file

from rlvr_jax import processes
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import guard
from rlvr_jax.training.build import AnyRun
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import TrainState, layout, like
from rlvr_jax.training.updates import Refused
from rlvr_jax.types import Array, PyTree, TokenBatch

NOTE, ROLLOUT, STATE = "dump.json", "rollout.safetensors", "state"
LOSS, NORM = "loss/total", "update/gradient_norm"


def write(run: AnyRun, refused: Refused, workdir: pathlib.Path) -> pathlib.Path:
  """Writes what is needed to make the refused update again.

  All processes of a run must call it; the first of them may be the last to
  come back. A run that meets the same update again, with the same numbers,
  finds its dump there and leaves it. Anything else under that name stays, too,
  and the dump gets a folder of its own, with -2, -3, ... behind the name.

  Args:
    run: of `build`.
    refused: what stopped it.
    workdir: of the run; gets the folder `refused/`.

  Returns:
    The folder of the dump. It is whole once `dump.json` is there.
  """
  step = int(refused.state.step)
  note = {
    "step": step,
    "update": refused.update,
    "reason": reason(refused, *run.programs.settings.guard_spikes),
    # JSON has no NaN.
    "metrics": {
      k: v if math.isfinite(v) else str(v) for k, v in refused.metrics.items()
    },
    "config": config_lib.plain(run.config),
  }
  folder, done = _place(workdir / "refused", note)
  if done:
    return folder
  arrays = dict(_named(refused.batch))
  checkpoints = Checkpoints(folder / STATE, keep=1)
  checkpoints.commit(step, {"state": refused.state, "ref": refused.ref})
  checkpoints.close()
  if processes.is_first():
    save_file(arrays, folder / ROLLOUT)
  config_lib.write(folder / NOTE, note)
  return folder


def _place(folder: pathlib.Path, note: dict) -> tuple[pathlib.Path, bool]:
  """Where a dump with this note belongs, and whether it is there already."""
  first = f"step{note['step']}-update{note['update']}"
  later = (f"{first}-{number}" for number in itertools.count(2))
  for name in itertools.chain([first], later):
    done = _holds(folder / name, note)
    if done or not (folder / name).exists():
      break
  # One process decides: the others may see what it writes already.
  name, done = processes.exchange([name, done])[0]
  return folder / name, done


def _holds(folder: pathlib.Path, note: dict) -> bool:
  """Whether a folder holds a whole dump with this note."""
  with contextlib.suppress(OSError, config_lib.ConfigError):
    return config_lib.read(folder / NOTE) == note
  return False


def reason(refused: Refused, sigmas: float, harmless: float = 0.0) -> str:
  """Why the guard refused the update, in words; the rest as it has them."""
  loss, norm = (refused.metrics[name] for name in (LOSS, NORM))
  if not math.isfinite(loss):
    return f"the loss is {loss}"
  if not math.isfinite(norm):
    return f"the loss is {loss}, but its gradient has the norm {norm}"
  state = refused.state.guard
  if not guard.is_spike(state, np.float32(norm), sigmas, harmless):
    return "the new state of a method is not finite"
  usual = guard.mean(state)
  return f"the gradient norm {norm} is far above the usual {usual:.3g}"


def read(
  folder: pathlib.Path, run: AnyRun
) -> tuple[TrainState, PyTree | None, TokenBatch]:
  """State, frozen weights and rollout of a dump, where they lay in training.

  Args:
    folder: of the dump.
    run: built of its configuration.
  """
  params = jax.eval_shape(run.programs.model.init, run.key)
  ref = jax.eval_shape(run.programs.weights.frozen, params)
  state = jax.eval_shape(run.programs.init_state, run.key, params)
  where = layout(state, run.mesh), mesh_lib.shardings(ref, run.mesh)
  room = dict(zip(("state", "ref"), map(like, (state, ref), where)))
  checkpoints = Checkpoints(folder / STATE, read_only=True)
  found = checkpoints.restore(checkpoints.latest(), room)
  checkpoints.close()
  rows = mesh_lib.by_row(run.mesh)
  batch = _batch(load_file(folder / ROLLOUT))
  return found["state"], found["ref"], jax.device_put(batch, rows)


def note(folder: pathlib.Path) -> dict:
  """What `dump.json` says, numbers of metrics as floats.

  Raises:
    ConfigError: the folder holds no whole dump.
  """
  if not (folder / NOTE).exists():
    raise config_lib.ConfigError(
      f"{folder} holds no {NOTE}; name a folder that a stopped run has told, "
      "such as WORKDIR/refused/step12-update3."
    )
  found = config_lib.read(folder / NOTE)
  metrics = {k: float(v) for k, v in found["metrics"].items()}
  return found | {"metrics": metrics}


def _named(batch: TokenBatch) -> Iterator[tuple[str, np.ndarray]]:
  """The arrays of a rollout by field, or by field/key."""
  for field, value in vars(batch).items():
    if isinstance(value, dict):
      yield from ((f"{field}/{k}", _whole(v)) for k, v in value.items())
    elif value is not None:
      yield field, _whole(value)


def _whole(x: Array) -> np.ndarray:
  """An array on the host, also if other processes hold parts of it."""
  if x.is_fully_addressable:
    return np.asarray(x)
  return multihost_utils.process_allgather(x, tiled=True)


def _batch(arrays: dict[str, np.ndarray]) -> TokenBatch:
  """The inverse of `_named`."""
  found = {"stats": {}, "notes": {}, "metrics": {}}
  for name, value in arrays.items():
    field, inside, key = name.partition("/")
    if inside:
      found[field][key] = value
    else:
      found[field] = value
  return TokenBatch(**found)
