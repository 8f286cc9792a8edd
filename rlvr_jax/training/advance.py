"""From what a folder holds to the end of a run, whatever happens on the way."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

import jax

from rlvr_jax import processes
from rlvr_jax.training import (
  dump,
  folder,
  memory,
  preemption,
  resume,
  updates,
  warm_start,
)
from rlvr_jax.training.build import AnyRun
from rlvr_jax.training.checkpoint import Checkpoints, Parts
from rlvr_jax.training.contents import Facts
from rlvr_jax.training.host import Accuracy
from rlvr_jax.training.state import TrainState, parts
from rlvr_jax.types import PyTree

Line = dict[str, float]
Steps = Callable[
  [AnyRun, TrainState, PyTree | None],
  Iterator[tuple[TrainState, Line, Accuracy]],
]


def advance(
  run: AnyRun,
  workdir: str | os.PathLike,
  steps: Steps,
  inputs: Callable[[AnyRun, TrainState], tuple[PyTree, ...]],
  history: bool = False,
) -> TrainState:
  """Goes on from what a folder holds to the end of a run.

  Args:
    run: as it was built; its configuration has been checked.
    workdir: of the run.
    steps: (run, state, ref) to an iterator of the state, the numbers and the
      accuracies after every step that is left.
    inputs: (run, state) to what `Programs.ahead` takes besides state and ref.
    history: whether accuracies are written.

  Returns:
    The final state.

  Raises:
    ConfigError: the folder holds a run that began with other weights, or one
      whose checkpoints are gone, or cannot be written, or none of its
      checkpoints is whole.
    FloatingPointError: too many updates in a row were refused.
    MemoryError: a device has too little memory.
    NotSaved: the last step, or three checkpoints in a row, are not on disk.
    Preempted: asked to stop; what it names is on disk.
  """
  config, workdir = run.config, pathlib.Path(workdir).absolute()
  folder.check_shared(workdir / "config.json")
  warm_start.check(config, workdir)
  folder.check_not_lost(workdir, config.checkpoint.every)
  # A refused run must not claim the folder: nothing is written before here.
  folder.claim(workdir, config)
  table: memory.Table = {}
  with _explained(run, workdir, table):
    return _advance(run, workdir, steps, inputs, history, table)


def _advance(run, workdir, steps, inputs, history, table) -> TrainState:
  """See `advance`; tells the memory of the programs in the table."""
  config = run.config
  params = warm_start.load_or_train(run, workdir)
  checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoint.keep)
  ref = run.programs.weights.frozen(params)
  state = begin = resume.start(run, params, ref, checkpoints)
  del params  # The state has its own; only the frozen ones stay.
  every = config.checkpoint.every
  try:
    with folder.writers(workdir, int(begin.step), history) as write:
      _compile(run, workdir, begin, ref, inputs, table)
      for state, line, accuracy in steps(run, begin, ref):
        write(int(state.step) - 1, line, accuracy)
        if int(state.step) % every == 0:
          checkpoints.save(*_contents(run, state))
    checkpoints.commit(*_contents(run, state))
  except preemption.Preempted:
    checkpoints.commit(*_contents(run, state))
    raise preemption.Preempted(int(state.step)) from None
  finally:
    checkpoints.close()
  return state


@contextlib.contextmanager
def _explained(
  run: AnyRun, workdir: pathlib.Path, table: memory.Table
) -> Iterator[None]:
  """Says of errors of a run what to do about them.

  Raises:
    FloatingPointError: too many updates were refused; they are dumped.
    MemoryError: a device has too little memory.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    memory.explain(error, table, run.config)
    raise
  except updates.Refused as refused:
    raise FloatingPointError(
      f"{refused} {_dumped(run, refused, workdir)} The last checkpoint is "
      "untouched: go on from it with a higher config.guard.sigmas if it was a "
      "spike, or train with a lower config.optimizer.learning_rate in another "
      "--workdir."
    ) from None


def _dumped(
  run: AnyRun, refused: updates.Refused, workdir: pathlib.Path
) -> str:
  """Writes the dump, and says where it is or why it is nowhere.

  That the disk is full must not hide why the run stops, nor make a scheduler
  start it again.
  """
  where = error = None
  try:
    where = dump.write(run, refused, workdir)
  except Exception as caught:  # Orbax and safetensors raise many kinds.
    error = str(caught) or repr(caught)
  # Nobody ends before the first process has written all of it.
  errors = list(filter(None, processes.exchange(error)))
  if errors:
    return f"(The dump could not be written: {errors[0]})"
  return (
    f"{where} holds what was refused; python -m experiments.replay with that "
    "folder shows where it broke."
  )


def _compile(run, workdir, state, ref, inputs, table) -> None:
  """Compiles what a step takes, and tells how much memory that needs.

  Raises:
    Preempted: asked to stop; the state is whole.
  """
  if int(state.step) < run.config.steps:
    for name, traced in run.programs.ahead(state, ref, *inputs(run, state)):
      preemption.look()
      table |= memory.of({name: traced.lower().compile()})
    memory.tell(table, workdir)


def _contents(run: AnyRun, state: TrainState) -> tuple[int, Parts, Facts]:
  """What a checkpoint of the state holds."""
  return int(state.step), parts(state), resume.facts(run)
