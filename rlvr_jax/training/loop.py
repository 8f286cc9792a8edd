"""The whole loop: warm start, then sample, grade, prepare, update, measure."""

import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import jax
import tqdm
from absl import logging
from ml_collections import ConfigDict

from rlvr_jax import processes
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import (
  dump,
  host,
  memory,
  mismatch,
  preemption,
  resume,
  updates,
  warm_start,
)
from rlvr_jax.training import metrics as metrics_lib
from rlvr_jax.training.build import AnyRun, Run, build
from rlvr_jax.training.checkpoint import Checkpoints, Facts, Parts
from rlvr_jax.training.state import TrainState, parts
from rlvr_jax.types import Array, PyTree

Line = dict[str, float]
Steps = Callable[
  [AnyRun, TrainState, PyTree | None],
  Iterator[tuple[TrainState, Line, host.Accuracy]],
]


def train(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
  """Trains, or goes on with the run that `workdir` holds.

  Args:
    config: of the run.
    workdir: gets config.json, metrics.jsonl, accuracy.jsonl, tensorboard/ and
      checkpoints/.

  Returns:
    The final state.

  Raises:
    ValueError: the configuration is wrong, all problems listed.
    FloatingPointError: too many updates in a row were refused, or too many
      responses of a step have numbers that are not finite.
    NotSaved: the last step, or three checkpoints in a row, are not on disk.
    Preempted: asked to stop.
    RuntimeError: too many rewards of a step are unknown.
  """
  config_lib.check_kind(config, supervised=False)
  config_lib.check(config, workdir)
  with config_lib.building():
    run = build(config)
  return advance(run, workdir, _steps, _inputs, history=True)


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
    ConfigError: the folder holds a run that began with other weights, or
      cannot be written, or none of its checkpoints is whole.
    FloatingPointError: too many updates in a row were refused.
    MemoryError: a device has too little memory.
    NotSaved: the last step, or three checkpoints in a row, are not on disk.
    Preempted: asked to stop; what it names is on disk.
  """
  config, workdir = run.config, pathlib.Path(workdir).absolute()
  _check_shared(workdir / "config.json")
  warm_start.check(config, workdir)
  # A refused run must not claim the folder: nothing is written before here.
  _claim(workdir, config)
  params = warm_start.load_or_train(run, workdir)
  checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoint.keep)
  table: memory.Table = {}
  ref = run.programs.weights.frozen(params)
  state = begin = resume.start(run, params, ref, checkpoints)
  del params  # The state has its own; only the frozen ones stay.
  writers, histories = _writers(workdir, int(begin.step), history)
  try:
    _compile(run, workdir, begin, ref, inputs, table)
    for state, line, accuracy in steps(run, begin, ref):
      step = int(state.step)
      for writer in writers:
        writer.write(step - 1, line)
      for each in histories:
        each.write(step - 1, accuracy)
      if step % config.checkpoint.every == 0:
        checkpoints.save(*_contents(run, state))
    checkpoints.commit(*_contents(run, state))
  except preemption.Preempted:
    checkpoints.commit(*_contents(run, state))
    raise preemption.Preempted(int(state.step)) from None
  except jax.errors.JaxRuntimeError as error:
    memory.explain(error, table, config)
    raise
  except updates.Refused as refused:
    raise FloatingPointError(
      f"{refused} {dump.write(run, refused, workdir)} holds what was refused; "
      "python -m experiments.replay with that folder shows where it broke. "
      "The last checkpoint is untouched: lower "
      "config.optimizer.learning_rate or raise config.guard.sigmas."
    ) from None
  finally:
    checkpoints.close()
    for writer in writers + histories:
      writer.close()
  return state


def _compile(run, workdir, state, ref, inputs, table) -> None:
  """Compiles what a step takes, and tells how much memory that needs."""
  if int(state.step) < run.config.steps:
    for name, traced in run.programs.ahead(state, ref, *inputs(run, state)):
      table |= memory.of({name: traced.lower().compile()})
    memory.tell(table, workdir)


def _inputs(run: Run, state: TrainState) -> tuple[Array, Array]:
  """The prompts of the next step."""
  return host.encoded(run, int(state.cursor))[1]


def _check_shared(path: pathlib.Path, patience: float = 0) -> None:
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


def _claim(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Makes the folder of a run and writes what the run is.

  Raises:
    ConfigError: that cannot be done.
  """
  processes.meet()  # All have checked what the folder holds.
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=workdir):
      pass  # A folder with an old config.json may be one to read only.
    config_lib.write(workdir / "config.json", config_lib.plain(config))
  except OSError as error:
    raise config_lib.ConfigError(
      f"--workdir={workdir} cannot be written to ({error}); give a folder "
      "that can."
    ) from error
  processes.meet()
  _check_shared(workdir / "config.json", patience=60)


def _contents(run: AnyRun, state: TrainState) -> tuple[int, Parts, Facts]:
  """What a checkpoint of the state holds."""
  return int(state.step), parts(state), resume.facts(run)


def _writers(
  workdir: pathlib.Path, start: int, history: bool
) -> tuple[list[metrics_lib.Patient], list[metrics_lib.Patient]]:
  """Where the numbers of a step go, and where its accuracies."""
  if not processes.is_first():
    return [], []

  def lines(name):
    path = workdir / name
    writer = metrics_lib.JsonWriter(path, start)
    return metrics_lib.Patient(writer, os.fspath(path))

  events = workdir / "tensorboard"
  board = metrics_lib.TensorBoardWriter(events, start)
  metrics = [
    lines("metrics.jsonl"),
    metrics_lib.Patient(board, os.fspath(events)),
  ]
  return metrics, [lines("accuracy.jsonl")] if history else []


def _check_rows(run: Run, line: Line, rows: int) -> None:
  """Stops a run whose rollouts hold too much that nobody can learn from."""
  share, most = line["guard/bad_fraction"], run.config.rollout.max_bad_fraction
  if share > most:
    raise FloatingPointError(
      f"{round(share * rows)} of the {rows} responses of this step have "
      "log-probs or statistics that are not finite; at most "
      f"config.rollout.max_bad_fraction = {most} of them may be left out. The "
      "weights are not finite any more, or the model overflows: go on from an "
      "earlier checkpoint with a lower config.optimizer.learning_rate."
    )


def _steps(
  run: Run, state: TrainState, ref: PyTree | None
) -> Iterator[tuple[TrainState, Line, host.Accuracy]]:
  """Yields the state, the numbers and the accuracies after every step."""
  config = run.config
  first = int(state.step)
  compare = mismatch.Comparison(run, first)
  name = config.label or config.chain[-1]
  bar = tqdm.trange(
    first,
    config.steps,
    initial=first,
    total=config.steps,
    desc=name,
    disable=not config.progress,
  )
  for number in bar:
    state, line, accuracy = one_step(run, state, ref, compare)
    if number == 0:
      line |= run.programs.cost()
    every = config.evaluation.every
    if number == 0 or (number + 1) % every == 0 or number + 1 == config.steps:
      began = time.perf_counter()
      policy = run.programs.weights.whole(state.params, ref)
      line |= run.evaluator(policy, run.key, number)
      line["time/evaluate_seconds"] = time.perf_counter() - began
    bar.set_postfix_str(
      f"reward {line['reward/mean']:.3f}, "
      f"entropy {line['policy/entropy']:.3f}, "
      f"{line['rollout/tokens_per_second']:.0f} tok/s",
      refresh=False,
    )
    yield state, line, accuracy


class Watch:
  """Names the seconds since it was last read, and logs what was done."""

  def __init__(self):
    logging.info("a step begins")
    self._began = self._last = time.perf_counter()
    self.seconds: Line = {}

  def lap(self, name: str) -> None:
    """Books the time since the last lap."""
    logging.info("done: %s", name)
    now = time.perf_counter()
    self.seconds[f"time/{name}_seconds"] = now - self._last
    self._last = now
    self.seconds["time/step_seconds"] = now - self._began


def one_step(
  run: Run,
  state: TrainState,
  ref: PyTree | None,
  compare: mismatch.Comparison | None = None,
) -> tuple[TrainState, Line, host.Accuracy]:
  """Sample, grade, learn if the chain has a learner, prepare, update.

  Args:
    run: of `build`.
    state: consumed; do not use it afterwards.
    ref: of `Weights.frozen`.
    compare: looks at the rollout before anything is learned from it.

  Returns:
    The next state, the numbers of the step and the accuracy of its problems.

  Raises:
    FloatingPointError: too many responses have numbers that are not finite.
    Preempted: asked to stop; the state is whole.
    Refused: too many updates in a row were refused.
    RuntimeError: too many rewards are unknown.
  """
  preemption.look()
  programs, watch = run.programs, Watch()
  problems, prompts = host.encoded(run, int(state.cursor))
  batch = programs.sample(state, ref, *prompts)
  if compare:
    compare(state, ref, batch)
  texts = host.decode(run.task, batch)
  watch.lap("rollout")
  preemption.look()
  asked = [problems[i] for i in programs.plan.row_prompts()]
  graded = host.graded(run, batch, asked, texts)
  notes = host.annotate(run, batch, asked, texts, graded.answers)
  watch.lap("grade")
  preemption.look()  # The last time: learners and updates consume the state.
  outcome, line = (graded.reward, graded.known), {}
  if programs.learn:
    state, batch, told = programs.learn(state, ref, batch, *outcome)
    line |= {k: float(v) for k, v in jax.device_get(told).items()}
    watch.lap("learn")
  batch, method, measured = programs.prepare(state, batch, *outcome, notes)
  line |= {k: float(v) for k, v in jax.device_get(measured).items()}
  watch.lap("prepare")
  _check_rows(run, line, len(asked))
  state = state.replace(method=method)
  state, numbers = updates.make(programs, state, ref, batch)
  watch.lap("update")
  line |= numbers | watch.seconds
  line["rollout/tokens_per_second"] = (
    line["rollout/tokens"] / line["time/rollout_seconds"]
  )
  return state, line, host.accuracy(run, problems, graded)
