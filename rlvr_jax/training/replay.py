"""Makes the update of a dump again, and looks where it stops being finite."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rlvr_jax import transform
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import dump, fields, sft
from rlvr_jax.training.build import AnyRun, build
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import TrainState
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Context, Objective, PyTree, TokenBatch

# Fields that the transforms of a chain edit; a bound may be infinite.
EDITED = ("log_ratio", "advantages", "weights", "added", "extra")


class Replay(NamedTuple):
  """What repeating a refused update showed.

  Attributes:
    note: of the dump.
    metrics: of the update made again.
    broken: (what, how many numbers of it are not finite) in the order in which
      an update computes them; what is of a minibatch, as a mean over its
      slices.
  """

  note: dict
  metrics: dict[str, float]
  broken: list[tuple[str, float]]

  @property
  def same(self) -> bool:
    """Whether loss and gradient norm are those of the run, bit for bit."""
    told = self.note["metrics"]
    return all(
      np.array_equal(np.float32(self.metrics[k]), np.float32(told[k]), True)
      for k in (dump.LOSS, dump.NORM)
    )


def replay(folder: pathlib.Path) -> Replay:
  """Makes the refused update of a dump again.

  Args:
    folder: that a stopped run has told.

  Returns:
    A Replay.

  Raises:
    ConfigError: the folder holds no dump, or what it was made of is gone.
  """
  note = dump.note(folder)
  with config_lib.building():
    run = built(note["config"])
  state, ref, batch = dump.read(folder, run)
  # Or it would be refused whatever it is.
  state = state.replace(
    guard=state.guard._replace(consecutive=jnp.zeros_like(state.step))
  )
  index = note["update"]
  broken = list(where_not_finite(run.programs, state, ref, batch, index))
  _, metrics = run.programs.update(state, ref, batch, index)
  metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
  return Replay(note, metrics, broken)


def text(found: Replay) -> str:
  """A Replay for a reader."""
  note = found.note
  numbers = [
    f"{name}  run {note['metrics'][name]}, now {found.metrics[name]}"
    for name in (dump.LOSS, dump.NORM)
  ]
  verdict = (
    "the same numbers as in the run"
    if found.same
    else "NOT the numbers of the run: are the devices others?"
  )
  broken = [(name, _number(count)) for name, count in found.broken]
  first = "everything is finite"
  if broken:
    first = "first not finite: {}, {} of its numbers".format(*broken[0])
  then = [f"  then {name}, {count}" for name, count in broken[1:]]
  shown = [f"  {k} {v}" for k, v in sorted(found.metrics.items())]
  return "\n".join(
    [
      f"step {note['step']}, update {note['update']}: {note['reason']}",
      *numbers,
      verdict,
      first,
      *then,
      "metrics:",
      *shown,
    ]
  )


def _number(count: float) -> str:
  """A count in full; a mean over slices may be below 1."""
  return f"{count:.0f}" if count >= 1 else f"{count:.2g}"


def configuration(plain: Mapping[str, object]) -> ConfigDict:
  """The configuration of a run of its config.json."""
  return ConfigDict(_with_tuples(dict(plain)))


def built(plain: dict) -> AnyRun:
  """The run of a configuration as it was written down."""
  config = configuration(plain)
  return sft.build(config) if fields.is_supervised(config) else build(config)


def _with_tuples(value: object) -> object:
  """JSON has no tuples, and configurations have no lists."""
  if isinstance(value, dict):
    return {k: _with_tuples(v) for k, v in value.items()}
  return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def where_not_finite(
  programs: Programs,
  state: TrainState,
  ref: PyTree | None,
  batch: TokenBatch,
  index: int,
) -> list[tuple[str, float]]:
  """What of an update is not finite, in the order in which it is computed.

  Args:
    programs: of the run.
    state: before the update.
    ref: of `Weights.frozen`.
    batch: the prepared rollout.
    index: which update of the step.

  Returns:
    (what, how many of its numbers) of everything that is not finite; what is of
    a minibatch, as a mean over its slices.
  """
  parts = programs.method.parts
  watched = [p for part in parts for p in (part, _after(part.name))]
  method = transform.chain(_before(), *watched)
  one = programs.updating()._replace(method=method)

  @jax.jit
  def look(state, ref, batch):
    new = dict.fromkeys((p.name for p in method.parts), ())
    state = state.replace(method=new | state.method)
    return one.differentiate(state, ref, batch, index)

  (loss, (after, metrics)), gradient = look(state, ref, batch)
  found = [*_leaves("weights", state.params), *_leaves("optimizer", state.opt)]
  found += [*_leaves("state of the methods", state.method)]
  found += _watched(metrics, _BEFORE)
  for part in parts:
    found += _watched(metrics, f"after {part.name}")
    own = {k: v for k, v in metrics.items() if k.startswith(part.name + "/")}
    found += [(f"metric {k}", _count(v)) for k, v in own.items()]
    found += _leaves(f"new state of {part.name}", after[part.name])
  found += [("loss", _count(loss)), *_leaves("gradient", gradient)]
  return [(name, float(count)) for name, count in found if count]


def _watched(metrics: dict[str, Array], name: str) -> list[tuple[str, Array]]:
  """What one of the watching transforms has counted."""
  begin = name + "/"
  told = [k for k in metrics if k.startswith(begin)]
  return [(f"{k.removeprefix(begin)} {name}", metrics[k]) for k in told]


_BEFORE = "before the chain"


def _before() -> LossTransform:
  """Watches what the chain is given."""

  def fn(objective: Objective, context: Context) -> dict[str, Array]:
    del objective
    batch, now = context.batch, context.stats
    arrays = {f"rollout {k}": v for k, v in batch.stats.items()}
    arrays |= {
      f"rollout {k}": getattr(batch, k)
      for k in ("sample_logp", "old_logp", "advantages")
    }
    arrays |= {f"statistic {k}": v for k, v in now.items()}
    return {k: _count(v) for k, v in arrays.items()}

  return transform.monitor(_BEFORE, fn)


def _after(name: str) -> LossTransform:
  """Watches what the member of a chain has left."""

  def fn(objective: Objective, context: Context) -> dict[str, Array]:
    del context
    return {k: _count(getattr(objective, k)) for k in EDITED}

  return transform.monitor(f"after {name}", fn)


def _count(x: Array) -> Array:
  return (~jnp.isfinite(x)).sum().astype(jnp.float32)


def _leaves(what: str, tree: PyTree) -> list[tuple[str, Array]]:
  """The leaves of a tree, each with its count."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return [(what + jax.tree_util.keystr(path), _count(x)) for path, x in leaves]
