"""A run small enough for a test, and the pieces of one without files."""

import contextlib
import functools
import importlib
import json
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence

import jax
import numpy as np
import optax
import pytest
from absl import flags
from ml_collections import ConfigDict

from configs import default
from rlvr_jax import methods, rng, tasks, testing
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.models.mesh import make_mesh, shardings
from rlvr_jax.sampling import sampler
from rlvr_jax.training import config as config_lib
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import layout
from rlvr_jax.transform import chain
from rlvr_jax.types import Draw
from rows import FIRST

SIZES = dict(width=16, layers=2, heads=2, kv_heads=1, head_dim=8, hidden=24)


def config(**changes: object) -> ConfigDict:
  """A run of a few seconds; dotted names in `changes` with __ for dots."""
  c = default.get_config()
  c.model.update(SIZES)
  c.steps, c.progress = 4, False
  c.warm_start.update(dict(steps=5, batch=8))
  c.rollout.update(dict(prompts=8, per_prompt=4, mismatch_every=0))
  c.train.updates = 2
  c.evaluation.update(dict(every=2, samples=4, ks=(1, 4)))
  c.checkpoint.every = 2
  for name, value in changes.items():
    section, _, field = name.rpartition("__")
    if isinstance(value, dict):
      c[name] = value
    else:
      (c[section] if section else c)[field] = value
  return c


def message(
  config: ConfigDict, workdir: str | os.PathLike | None = None
) -> str:
  """What the check of a wrong configuration says."""
  with pytest.raises(ValueError) as caught:
    config_lib.check(config, workdir)
  return str(caught.value)


@functools.cache
def task(data_dir: str) -> tasks.Task:
  """The `split` task kept in a folder of the test session."""
  return tasks.load("split", data_dir=data_dir, largest=99)


def composed(names: Sequence[str]) -> tuple[str, ...] | None:
  """A chain of these methods with a source of advantages first.

  None if two of them own the same field.
  """
  made = {name: methods.make(name, **FIRST[name].acting) for name in names}
  owned = [field for method in made.values() for field in method.owns]
  if len(set(owned)) < len(owned):
    return None
  first = [name for name in names if "advantages" in made[name].owns]
  # It stores rows as they are then, without what others note of them.
  stores = ["spear"] if "spear" in names else []
  rest = [name for name in names if name not in (*first, *stores)]
  return (*(first or ["grpo"]), *stores, *rest)


def programs(
  *names: str,
  devices: int = 1,
  shape: dict | None = None,
  tx: optax.GradientTransformation | None = None,
  vocabulary: int = 14,
  model: dict | None = None,
  **changes: object,
) -> Programs:
  """The programs of a chain on a model of random weights.

  `model` holds fields of DecoderConfig, the rest are fields of Settings.
  """
  settings = Settings(
    prompts=8,
    prompt_width=3,
    length=6,
    ends=sampler.Ends((1,), 0),
    rows=0,
    main=Draw("main", 4),
    updates=2,
    slices=1,
    widths=1,
    chunk=4096,
    clip=(0.2, 0.2),
    aggregation="token-mean",
    scale=None,
    rescore=False,
    compare_every=0,
    ema_decay=0.9,
    ema_every=1,
    guard_window=8,
    guard_spikes=(6.0, 0.0),
    guard_limit=5,
    dynamic=None,
  )._replace(**changes)
  mesh = make_mesh(**(shape or {}), devices=jax.devices()[:devices])
  sizes = DecoderConfig(vocabulary=vocabulary, **SIZES | (model or {}))
  decoder = Transformer(sizes, Layout(mesh))
  made = chain(*(methods.make(n, **FIRST[n].acting) for n in names))
  return Programs(decoder, made, tx or optax.adam(1e-2), settings, mesh)


def start(p: Programs, seed: int = 0):
  """A state laid out on the mesh, and the reference policy."""
  init, key = p.init_state, jax.random.key(seed)
  params = p.model.init(rng.key(key, rng.Purpose.INIT))
  params = jax.device_put(params, shardings(params, p.mesh))
  where = layout(jax.eval_shape(init, key, params), p.mesh)
  state = jax.jit(init, out_shardings=where)(key, params)
  if p.weights.adapted:
    return state, p.weights.frozen(params)
  return state, jax.tree.map(lambda x: x + 0.01, params)


def prompts(p: Programs):
  """Left-padded prompts."""
  rng = np.random.default_rng(0)
  count, width = p.settings.prompts, p.settings.prompt_width
  tokens = rng.integers(2, 14, (count, width)).astype(np.int32)
  valid = np.arange(width) >= (np.arange(count) % 2)[:, None]
  return tokens, valid


def sample(p: Programs, state, ref):
  """A rollout; texts of tokens are made up if it branches."""
  text = p.text and testing.token_text(jax.random.key(0), *p.text.length.shape)
  return p.sample(state, ref, *prompts(p), text=text)


def step(p: Programs, state, ref, reward=None):
  """One step with made-up rewards; returns the state and all metrics."""
  batch = sample(p, state, ref)
  rows = batch.mask.shape[0]
  if reward is None:
    reward = np.asarray(batch.mask.sum(1) % 2, np.float32)
  notes = testing.notes(p.notes, batch, jax.random.key(0))
  outcome, told = (reward, np.ones(rows, bool)), {}
  if p.learn:
    state, batch, told = p.learn(state, ref, batch, *outcome)
  batch, method, measured = p.prepare(state, batch, *outcome, notes)
  state = state.replace(method=method)
  lines = []
  for index in range(p.settings.updates):
    state, metrics = p.update(state, ref, batch, index)
    lines.append(jax.device_get(metrics))
  return state, [jax.device_get(told | measured), *lines]


@contextlib.contextmanager
def program(name: str) -> Iterator[types.ModuleType]:
  """A program, whose flags are there as long as the context."""
  before = set(flags.FLAGS)
  sys.modules.pop(name, None)  # Programs define the same flags.
  yield importlib.import_module(name)
  flags.FLAGS.remove_flag_values(set(flags.FLAGS) - before)


def held(workdir: str | os.PathLike, step: int) -> dict[str, str]:
  """All leaves of a checkpoint by path: dtype, shape and digest."""
  checkpoints = Checkpoints(
    os.path.join(workdir, "checkpoints"), read_only=True
  )
  note = checkpoints.note(step)
  checkpoints.close()
  parts = note.parts.values()
  return {path: str(tuple(x)) for part in parts for path, x in part.items()}


def lines(workdir: pathlib.Path) -> list[dict]:
  """All lines of metrics.jsonl without what depends on the clock."""
  timed = lambda name: name.startswith("time/") or "per_second" in name
  rows = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
  return [{k: v for k, v in row.items() if not timed(k)} for row in rows]


def spawn(
  *argv: str, module: str = "experiments.train", under: Sequence[str] = ()
) -> subprocess.Popen:
  """The command line in a process of its own, one CPU device.

  `under` is a command that runs the one behind it.
  """
  env = os.environ | {"XLA_FLAGS": "", "PYTHONPATH": os.getcwd()}
  return subprocess.Popen(
    [*under, sys.executable, "-m", module, *argv],
    env=env,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
  )
