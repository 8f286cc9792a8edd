"""Reinforcement learning: sample, grade, prepare, update, measure."""

import os
import time
from collections.abc import Iterator

import jax
import numpy as np
import tqdm
from ml_collections import ConfigDict

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import (
  drawing,
  host,
  learning,
  mismatch,
  preemption,
  updates,
)
from rlvr_jax.training.advance import Line, advance
from rlvr_jax.training.build import Run, build
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.watch import Watch
from rlvr_jax.types import PyTree


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
    FloatingPointError: too many updates in a row were refused, or steps of a
      learner, or too many responses of a step have numbers that are not finite.
    NotSaved: the last step, or three checkpoints in a row, are not on disk.
    Preempted: asked to stop.
    RuntimeError: too many rewards of a step are unknown, or too few of its
      groups have mixed rewards.
  """
  config_lib.check_kind(config, supervised=False)
  config_lib.check(config, workdir)
  with config_lib.building():
    run = build(config)
  return advance(run, workdir, _steps, _inputs, history=True)


def _inputs(
  run: Run, state: TrainState
) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
  """Shapes of the widest prompts, which take the most memory."""
  del state
  rows = mesh_lib.by_row(run.mesh)
  tokens, mask = run.programs.prompts()
  return tokens.update(sharding=rows), mask.update(sharding=rows)


def _steps(
  run: Run, state: TrainState, ref: PyTree | None
) -> Iterator[tuple[TrainState, Line, host.Accuracy]]:
  """Yields the state, the numbers and the accuracies after every step."""
  config = run.config
  first = int(state.step)
  compare = mismatch.Comparison(run, first)
  look_at_learner = learning.Refusals(config.guard.max_consecutive)
  state = drawing.begun(run, state, ref, compare)
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
    look_at_learner(line)
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
    RuntimeError: too many rewards are unknown, or too few groups have mixed
      rewards.
  """
  programs, watch = run.programs, Watch()
  rollout = drawing.Drawing(run, state, ref, watch, compare).rollout()
  preemption.look()  # The last time: learners and updates consume the state.
  state = state.replace(pending=rollout.pending)
  batch, graded = rollout.rows, rollout.graded
  outcome, told = (graded.reward, graded.known), {}
  if programs.learn:
    state, batch, told = programs.learn(state, ref, batch, *outcome)
  edit = programs.prepare(state, batch, *outcome, rollout.notes)
  batch, method, measured = edit
  state = state.replace(method=method)
  told |= measured
  state, line = updates.make(programs, state, ref, batch, told)
  drawing.check_sound(run, line["guard/bad_fraction"], len(graded.reward))
  watch.lap("update")
  # An update counts the prompts that it learns from; more may be consumed.
  cursor = np.int32(rollout.cursor)
  state = state.replace(cursor=mesh_lib.put(cursor, mesh_lib.whole(run.mesh)))
  line |= rollout.metrics | watch.seconds
  # Of a rollout that was sampled meanwhile nobody knows the seconds.
  of = "rollout" if rollout.pending is None else "step"
  line["rollout/tokens_per_second"] = (
    line["rollout/tokens"] / line[f"time/{of}_seconds"]
  )
  return state, line, rollout.accuracy
