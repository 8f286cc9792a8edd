"""Supervised training as an experiment: demonstrations, and the loop of RL."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
import tqdm
from absl import logging
from ml_collections import ConfigDict

from rlvr_jax import tasks
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import hf
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.config import DecoderConfig
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.tasks import demonstrations, order, packing
from rlvr_jax.training import build as build_lib
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import preemption, relations, updates
from rlvr_jax.training.advance import Line, advance
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.sft_programs import Rows, SupervisedPrograms
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.watch import Watch
from rlvr_jax.types import Draw, PyTree


class SupervisedRun(NamedTuple):
  """What a configuration builds; nothing in it changes during the run."""

  config: ConfigDict
  train: packing.Packed
  evaluation: packing.Packed | None
  programs: SupervisedPrograms
  mesh: jax.sharding.Mesh
  key: jax.Array


def build(config: ConfigDict) -> SupervisedRun:
  """Builds data, model and programs. Allocates no weights."""
  mesh = mesh_lib.make_mesh(**config.mesh)
  _check_rows(config, mesh)
  tokenizer = tasks.HFTokenizer(config.model.folder)
  sizes = build_lib.decoder_config(config, tokenizer.vocab_size)
  learnt, held_out = _packed(config, tokenizer, sizes)
  programs = SupervisedPrograms(
    Transformer(sizes, Layout(mesh)),
    config_lib.build_chain(config),
    build_lib.optimizer(config),
    _settings(config, sampler.Ends(tokenizer.stop_ids, tokenizer.pad_id)),
    mesh,
  )
  key = jax.random.key(config.seed)
  return SupervisedRun(config, learnt, held_out, programs, mesh, key)


def _packed(
  config: ConfigDict, tokenizer: tasks.ChatTokenizer, sizes: DecoderConfig
) -> tuple[packing.Packed, packing.Packed | None]:
  """The rows to learn from, and those to measure on if there are any."""
  fields = {name: config.data[name] for name in relations.DEMONSTRATIONS}
  fields["columns"] = dict(fields["columns"])
  options = demonstrations.Options(seed=config.seed, **fields)
  learnt, held_out = demonstrations.read(
    tokenizer, options, config.data.data_dir or None
  )
  longest = max((*learnt, *held_out), key=lambda each: len(each.tokens))
  answer = len(longest.tokens) - longest.prompt
  hf.check_positions(longest.prompt, answer, sizes)
  pack = lambda found: packing.Packed(
    found, options.length, tokenizer.pad_id, config.data.pack
  )
  packed = pack(learnt)
  logging.info(
    "%d demonstrations in %d rows, %.1f %% of them filled",
    *(len(learnt), len(packed), 100 * packed.fill),
  )
  return packed, pack(held_out) if held_out else None


def _check_rows(config: ConfigDict, mesh: jax.sharding.Mesh) -> None:
  u = config.train
  parts = u.updates * mesh_lib.divisor(mesh, u.slices)
  if u.rows % parts:
    raise config_lib.ConfigError(
      f"config.train.rows = {u.rows} must be a multiple of {parts}, for "
      f"config.train.updates = {u.updates}, slices = {u.slices} and the "
      "devices of config.mesh."
    )


def _settings(config: ConfigDict, ends: sampler.Ends) -> Settings:
  u = config.train
  return Settings(
    prompts=u.rows,
    prompt_width=1,
    length=config.data.length - 1,
    ends=ends,
    rows=0,
    main=Draw("main", 1),
    updates=u.updates,
    slices=u.slices,
    widths=1,  # Packed rows are full.
    chunk=u.chunk,
    clip=(0.2, 0.2),
    aggregation=config.loss.aggregation,
    scale=config.loss.scale or None,
    rescore=True,  # Nobody sampled: there is no sampler to compare with.
    compare_every=0,
    ema_decay=u.ema_decay,
    ema_every=u.ema_every,
    guard_window=config.guard.window,
    guard_spikes=build_lib.spikes(config),
    guard_limit=config.guard.max_consecutive,
    dynamic=None,
  )


def train(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
  """Trains on demonstrations, or goes on with the run that `workdir` holds.

  Args:
    config: of the run, as in configs/sft.py.
    workdir: gets config.json, metrics.jsonl, tensorboard/ and checkpoints/.

  Returns:
    The final state.

  Raises:
    ValueError: the configuration is wrong, all problems listed.
    FloatingPointError: too many updates in a row were refused.
    NotSaved: the last step, or three checkpoints in a row, are not on disk.
    Preempted: asked to stop.
  """
  config_lib.check_kind(config, supervised=True)
  config_lib.check(config, workdir)
  with config_lib.building():
    run = build(config)
  return advance(run, workdir, _steps, _inputs)


def _inputs(run: SupervisedRun, state: TrainState) -> tuple[Rows]:
  """The rows of the next step."""
  return (_rows(run, run.train, places(run, int(state.cursor))),)


def _steps(
  run: SupervisedRun, state: TrainState, ref: PyTree | None
) -> Iterator[tuple[TrainState, Line, dict]]:
  """Yields the state and the numbers after every step; no accuracies."""
  config, first = run.config, int(state.step)
  bar = tqdm.trange(
    first,
    config.steps,
    initial=first,
    total=config.steps,
    desc=config.label or config.chain[-1],
    disable=not config.progress,
  )
  for number in bar:
    state, line = one_step(run, state, ref)
    every, done = config.evaluation.every, number + 1
    due = number == 0 or done % every == 0 or done == config.steps
    if due and run.evaluation is not None:
      line |= evaluate(run, state, ref)
    bar.set_postfix_str(
      f"cross-entropy {line['supervised/cross_entropy']:.3f}, "
      f"{line['data/tokens_per_second']:.0f} tok/s",
      refresh=False,
    )
    yield state, line, {}


def one_step(
  run: SupervisedRun, state: TrainState, ref: PyTree | None
) -> tuple[TrainState, Line]:
  """Reads the next rows and trains on them.

  Args:
    run: of `build`.
    state: consumed; do not use it afterwards.
    ref: of `Weights.frozen`.

  Returns:
    The next state and the numbers of the step.

  Raises:
    Preempted: asked to stop; the state is whole.
  """
  preemption.look()
  programs, s, watch = run.programs, run.programs.settings, Watch()
  cursor = int(state.cursor)
  (rows,) = _inputs(run, state)
  batch, method, measured = programs.prepare(state, ref, rows)
  state = state.replace(method=method)
  state, line = updates.make(programs, state, ref, batch, measured)
  watch.lap("update")
  line |= watch.seconds
  line["data/epoch"] = (cursor + s.prompts) / len(run.train)
  seconds = line["time/step_seconds"]
  line["data/tokens_per_second"] = line["data/tokens"] / seconds
  return state, line


def places(run: SupervisedRun, cursor: int) -> np.ndarray:
  """Which rows a step trains on, i64[rows], after `cursor` rows.

  Every epoch is a permutation of its own of all rows.
  """
  count = run.programs.settings.prompts
  return order.prompts_at(run.config.seed, cursor, count, len(run.train))


def evaluate(run: SupervisedRun, state: TrainState, ref: PyTree | None) -> Line:
  """Means over the answer tokens of the demonstrations held out.

  Args:
    run: of `build`, with some.
    state: of the run.
    ref: of `Weights.frozen`.

  Returns:
    `eval/cross_entropy` and `eval/entropy`, nats.
  """
  began, rows = time.perf_counter(), run.programs.settings.prompts
  total = {"cross_entropy": 0.0, "entropy": 0.0, "tokens": 0.0}
  for begin in range(0, len(run.evaluation), rows):
    asked = [*range(begin, min(begin + rows, len(run.evaluation)))]
    asked += [-1] * (rows - len(asked))  # padding
    sums = run.programs.measure(state, ref, _rows(run, run.evaluation, asked))
    for name, value in jax.device_get(sums).items():
      total[name] += float(value)
  count = total.pop("tokens")
  line = {f"eval/{name}": value / count for name, value in total.items()}
  return line | {"time/evaluate_seconds": time.perf_counter() - began}


def _rows(
  run: SupervisedRun, packed: packing.Packed, numbers: Sequence[int]
) -> Rows:
  return mesh_lib.put(packed.arrays(numbers), mesh_lib.by_row(run.mesh))
