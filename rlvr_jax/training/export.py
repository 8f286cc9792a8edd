"""From the checkpoint of a run to a folder that others can open."""

import os
import pathlib

import jax
from ml_collections import ConfigDict

from rlvr_jax.models.hf.write import write_folder
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import fields, precision, resume, sft, warm_start
from rlvr_jax.training.build import AnyRun, build
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import PyTree


def export(
  config: ConfigDict,
  workdir: str | os.PathLike,
  folder: str | os.PathLike,
  dtype: str | None = None,
) -> int:
  """Writes the policy of the newest checkpoint in the Hugging Face format.

  Where the optimizer keeps float32 copies of narrower weights, the copies are
  written, so that a wide dtype loses nothing that was learned.

  Args:
    config: of the run.
    workdir: that holds it.
    folder: to write; must not exist.
    dtype: of the files; None is that of the model the run began with.

  Returns:
    The step of the checkpoint.

  Raises:
    ConfigError: the configuration is not that of the run, the run did not begin
      with a model in this format or began with other weights than its folder
      holds now, has no checkpoint, or the folder exists.
  """
  config_lib.check(config, workdir)
  if not config.model.folder:
    raise config_lib.ConfigError(
      "config.model.folder is empty: the small decoders of the experiments are "
      "of no family that others know; only models read from a folder are "
      "written."
    )
  if pathlib.Path(folder).exists():
    raise config_lib.ConfigError(f"{folder} exists; give another folder.")
  warm_start.check(config, workdir)
  with config_lib.building():
    run = sft.build(config) if fields.is_supervised(config) else build(config)
  step, state = _newest(run, pathlib.Path(workdir).absolute())
  trained = precision.exact(state.params, state.opt)
  params = run.programs.weights.whole(trained, _below(run, workdir))
  source, sizes = config.model.folder, run.programs.model.config
  write_folder(params, sizes, source, folder, dtype)
  return step


def _newest(run: AnyRun, workdir: pathlib.Path) -> tuple[int, TrainState]:
  """The newest checkpoint of a run, where its arrays live in training."""
  params = jax.eval_shape(run.programs.model.init, run.key)
  shapes = jax.eval_shape(run.programs.init_state, run.key, params)
  none = config_lib.ConfigError(
    f"{workdir} holds no checkpoint; train for at least "
    f"config.checkpoint.every = {run.config.checkpoint.every} steps."
  )
  checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
  try:
    found = resume.held(run, shapes, checkpoints)
    if found is None:
      raise none
    step, parts = found
    return step, TrainState(**parts["run"], **parts["chain"])
  finally:
    checkpoints.close()


def _below(run: AnyRun, workdir: str | os.PathLike) -> PyTree | None:
  """The weights below the adapters; None without adapters."""
  if not run.programs.weights.adapted:
    return None
  return run.programs.weights.frozen(warm_start.load_or_train(run, workdir))
