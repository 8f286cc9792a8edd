"""What a run goes on with: the newest checkpoint that is whole and fits."""

import os
from collections.abc import Callable

import jax
from absl import logging

from rlvr_jax.training import config as config_lib
from rlvr_jax.training import state as state_lib
from rlvr_jax.training.build import AnyRun
from rlvr_jax.training.checkpoint import Checkpoints, Parts
from rlvr_jax.training.contents import Facts, Leaf, Note, leaves
from rlvr_jax.training.damage import Damaged
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import PyTree


def facts(run: AnyRun) -> Facts:
  """What the checkpoints of a run tell about it."""
  return {"chain": list(run.config.chain)}


def begin(run: AnyRun, params: PyTree) -> TrainState:
  """The state before the first step.

  Made under jit, scalars included, so that a fresh and a restored state have
  the same layout and the update is traced once.

  Args:
    run: as it was built.
    params: of the decoder at the beginning.
  """
  init = run.programs.init_state
  where = state_lib.layout(jax.eval_shape(init, run.key, params), run.mesh)
  return jax.jit(init, out_shardings=where)(run.key, params)


def start(
  run: AnyRun, params: PyTree, ref: PyTree | None, checkpoints: Checkpoints
) -> TrainState:
  """The state of the newest checkpoint, else the one before the first step.

  Args:
    run: as it was built.
    params: of the decoder at the beginning.
    ref: of `Weights.frozen`.
    checkpoints: of the run.

  Raises:
    ConfigError: of another chain, another model, or all damaged.
  """
  shapes = jax.eval_shape(run.programs.init_state, run.key, params)
  found = held(run, shapes, checkpoints)
  if found is not None and "chain" in found[1]:
    return TrainState(**found[1]["run"], **found[1]["chain"])
  if found is not None:
    params = run.programs.weights.whole(found[1]["run"]["params"], ref)
  fresh = begin(run, params)
  return fresh if found is None else fresh.replace(**found[1]["run"])


def held(
  run: AnyRun, shapes: TrainState, checkpoints: Checkpoints
) -> tuple[int, Parts] | None:
  """The step of the newest whole checkpoint of a run, and its parts.

  With `config.checkpoint.new_chain` the part "chain" is left out if another
  chain wrote it.

  Args:
    run: as it was built.
    shapes: of its state.
    checkpoints: of the run.

  Raises:
    ConfigError: of another chain, another model, or all damaged.
  """
  where = state_lib.layout(shapes, run.mesh)
  parts = state_lib.parts(state_lib.like(shapes, where))

  def wanted(note: Note) -> Parts:
    if _same_chain(run, note, parts["chain"]):
      return parts
    return {"run": parts["run"]}

  return newest(checkpoints, wanted)


def newest(
  checkpoints: Checkpoints, wanted: Callable[[Note], Parts]
) -> tuple[int, Parts] | None:
  """Reads the newest checkpoint that is whole; sets damaged ones aside.

  Of checkpoints that are opened to be read only, damaged ones are left as well.

  Args:
    checkpoints: of one folder.
    wanted: what to read of a checkpoint with this note, with shapes and
      shardings; may raise if it is none of this run.

  Returns:
    Its step and parts; None if the folder has none at all.

  Raises:
    ConfigError: its arrays are not those wanted, it has no note, or all are
      damaged.
    OSError: it cannot be read now, though it may be whole.
  """
  tried = []
  for step in checkpoints.steps():
    found, damage = _read(checkpoints, step, wanted)
    if damage is None:
      logging.info("going on after step %d", step)
      return step, found
    tried.append(f"step {step}: {damage}")
    name = str(step)
    if not checkpoints.read_only:
      name = checkpoints.set_aside(step)
    logging.warning(
      "damaged checkpoint: %s; it is kept as %s, and the one before it is used",
      *(tried[-1], checkpoints.folder / name),
    )
  if tried or checkpoints.damaged():
    raise config_lib.ConfigError(_nothing_left(checkpoints, tried))
  return None


def _read(
  checkpoints: Checkpoints, step: int, wanted: Callable[[Note], Parts]
) -> tuple[Parts | None, str | None]:
  """The parts of a checkpoint, or else what is wrong with it."""
  try:
    note = checkpoints.note(step)
    parts = wanted(note)
    _check_leaves(note, parts, checkpoints.folder)
    return checkpoints.restore(step, parts), None
  except Damaged as error:
    return None, str(error)


def _nothing_left(checkpoints: Checkpoints, tried: list[str]) -> str:
  lines = "".join(f"\n  - {each}" for each in tried)
  return (
    f"no checkpoint in {checkpoints.folder} is whole; set aside are "
    f"{checkpoints.damaged()}.{lines}\nBring back a good copy of one under its "
    "number, or remove the folder to begin again."
  )


def _same_chain(run: AnyRun, note: Note, chain: PyTree) -> bool:
  """Whether the methods' state in a checkpoint is that of this run's chain.

  Raises:
    ConfigError: it is not, and the run may not begin with a new one.
  """
  old, new = list(note.facts.get("chain", ())), list(run.config.chain)
  differ = _first_difference(note.parts.get("chain", {}), chain)
  if old == new and differ is None:
    return True
  if run.config.checkpoint.new_chain:
    logging.warning("state of the chain %s begins anew for %s", old, new)
    return False
  what = differ or "no array"
  raise config_lib.ConfigError(
    f"the checkpoint was written by the chain {old}, this run has {new}; "
    f"what methods remember differs in {what}. Set "
    "config.checkpoint.new_chain=True to keep weights, optimizer and data "
    "order and begin with the new chain's state, or use another --workdir."
  )


def _check_leaves(note: Note, parts: Parts, folder: os.PathLike) -> None:
  """The arrays must be those of this run: no part of them is damaged."""
  for name, part in parts.items():
    differ = _first_difference(note.parts.get(name, {}), part)
    if differ is not None:
      raise config_lib.ConfigError(
        f"{folder} holds another model: {differ} (written by version "
        f"{note.version}). Bring back the config of that run, or use another "
        "folder."
      )


def _first_difference(old: dict[str, Leaf], tree: PyTree) -> str | None:
  """The first array of a part that is not as this run has it."""
  new = leaves(tree)
  # Weights first: the optimizer's moments are shaped like them.
  for path in sorted([*old, *new], key=lambda p: not p.startswith("params")):
    a, b = old.get(path), new.get(path)
    if a is None or b is None or a[:2] != b[:2]:
      there, here = ("nothing" if x is None else str(x) for x in (a, b))
      return f"{path}, which is {there} in the checkpoint and {here} here"
  return None
