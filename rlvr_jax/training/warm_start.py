"""The warm start of a run: what RL begins with, trained once and kept."""

import os
import pathlib

import jax
from ml_collections import ConfigDict

from rlvr_jax import rng
from rlvr_jax.models import hf, lora
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.hf import files
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import guard, resume, state, supervised
from rlvr_jax.training.build import AnyRun, Run
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.types import PyTree


def identity(config: ConfigDict) -> dict:
  """What decides the outcome of a warm start."""
  parts = ("seed", "task", "model", "warm_start")
  whole = config_lib.plain(config)
  found = {part: whole[part] for part in parts}
  found["model"].pop("lora")
  found["model"].pop("sha256", None)
  found["warm_start"].pop("folder")
  found["task"].pop("data_dir")
  # Demonstrations are of all training problems, whatever RL knows of them.
  found["task"].pop("subset")
  found["task"].pop("labelled")
  return found


def check(config: ConfigDict, workdir: str | os.PathLike) -> None:
  """Raises if model or warm start would be refused; writes nothing.

  Args:
    config: of the run.
    workdir: of the run.

  Raises:
    ConfigError: the folder holds the warm start of another configuration, or
      the run in it began with other weights than the model's folder holds.
  """
  _check_model(config, workdir)
  if not _wanted(config):
    return
  folder = _folder(config, workdir)
  if not (folder / "config.json").exists():
    return
  checkpoints = Checkpoints(folder / "params", read_only=True)
  # A note without parameters is of a warm start that was stopped.
  if checkpoints.latest() is not None:
    _check_note(folder / "config.json", identity(config))
  checkpoints.close()


def _check_model(config: ConfigDict, workdir: str | os.PathLike) -> None:
  """The folder of the model must hold what the run began with."""
  note = pathlib.Path(workdir) / "model.json"
  if not config.model.folder or not note.exists():
    return
  held = config_lib.read(note)
  if held != _origin(config):
    raise config_lib.ConfigError(
      f"the run in {workdir} began with other files than "
      f"config.model.folder = {config.model.folder!r} holds now; bring back "
      "that model, or use another --workdir."
    )


def _origin(config: ConfigDict) -> dict[str, str]:
  """What the model of a run was, to be compared when the run goes on."""
  return {"checksum": files.checksum(config.model.folder)}


def _wanted(config: ConfigDict) -> bool:
  """Supervised runs have none before them."""
  return "warm_start" in config and config.warm_start.steps > 0


def _folder(config: ConfigDict, workdir: str | os.PathLike) -> pathlib.Path:
  folder = config.warm_start.folder or os.path.join(workdir, "warm_start")
  return pathlib.Path(folder).absolute()


def load_or_train(run: AnyRun, workdir: str | os.PathLike) -> PyTree:
  """The parameters RL begins with, and the reference policy.

  Trained once and kept in `config.warm_start.folder`, or in `warm_start` under
  the working directory, so that runs can share it. Without a warm start, with
  `config.warm_start.steps` = 0, they are those of the model's folder, or random
  ones. Adapters are new in any case: the warm start trains what is below them.

  Args:
    run: of `build`.
    workdir: of the run.

  Raises:
    ConfigError: the folder holds the warm start of another configuration.
    FloatingPointError: the warm start ends with weights that are not finite.
  """
  config, model = run.config, run.programs.model
  plain = model.without_adapters()
  note = pathlib.Path(workdir) / "model.json"
  if config.model.folder and not note.exists():
    config_lib.write(note, _origin(config))
  if _wanted(config):
    params = _trained(run, workdir, plain)
  else:
    params = _first(run, plain)
  key = rng.key(run.key, rng.Purpose.INIT)
  return lora.with_new(params, model, run.mesh, key)


def _first(run: AnyRun, model: Transformer) -> PyTree:
  """The parameters before any training: those of a folder, or random ones."""
  folder = run.config.model.folder
  if folder:
    return hf.read_params(folder, model, run.mesh, run.config.model.sha256)
  params = model.init(rng.key(run.key, rng.Purpose.INIT))
  return mesh_lib.put(params, mesh_lib.shardings(params, run.mesh))


def _trained(
  run: Run, workdir: str | os.PathLike, model: Transformer
) -> PyTree:
  """The parameters after the warm start, from its folder if it was made."""
  folder = _folder(run.config, workdir)
  note = folder / "config.json"
  # Another run may be writing here what this one only reads.
  checkpoints = Checkpoints(folder / "params", read_only=True)
  if checkpoints.latest() is not None:
    _check_note(note, identity(run.config))
  params = _held(run, model, checkpoints)
  checkpoints.close()
  if params is None:
    params = supervised.train(run, model, _first(run, model))
    _check_finite(params, run.config)
    checkpoints = Checkpoints(folder / "params", keep=1)
    config_lib.write(note, identity(run.config))
    checkpoints.commit(run.config.warm_start.steps, {"params": params})
    checkpoints.close()
  return params


def _check_finite(params: PyTree, config: ConfigDict) -> None:
  """Nothing else guards a warm start, and other runs may share it."""
  if not jax.jit(guard.finite)(params):
    raise FloatingPointError(
      "the weights are not finite after the warm start, so it is not kept; "
      "lower config.warm_start.learning_rate = "
      f"{config.warm_start.learning_rate}, in another --workdir."
    )


def _held(
  run: Run, model: Transformer, checkpoints: Checkpoints
) -> PyTree | None:
  """The parameters that a folder holds; None if it holds none."""
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  room = state.like(shapes, mesh_lib.shardings(shapes, run.mesh))
  found = resume.newest(checkpoints, lambda note: {"params": room})
  return None if found is None else found[1]["params"]


def _check_note(note: pathlib.Path, wanted: dict) -> None:
  differ = config_lib.differences(config_lib.read(note), wanted)
  differ = [name for name in differ if name not in config_lib.FREE]
  if differ:
    raise config_lib.ConfigError(
      f"the warm start in {note.parent} was made with other values of "
      f"{differ}; set config.warm_start.folder to a new folder."
    )
