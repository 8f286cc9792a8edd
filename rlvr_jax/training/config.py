"""Checks a whole configuration before anything is allocated.

`check` collects every problem it can find and raises them together; each line
names the field, its value, what is allowed and what to do.
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Iterator, Sequence

from absl import logging
from ml_collections import ConfigDict

from rlvr_jax import processes
from rlvr_jax.models.mesh import AXES
from rlvr_jax.training import chains, fields, hyper, relations
from rlvr_jax.training.fields import flatten
from rlvr_jax.transform import LossTransform

# They change time and memory, and the order in which numbers are added up.
ROUNDING = (
  *("train.slices", "train.widths", "train.chunk", "train.share_prompts"),
  *("model.remat", "rollout.rows", "evaluation.rows"),
  *(f"mesh.{axis}" for axis in AXES),
)

# A run may be resumed with these changed. The window of the guard is the shape
# of what it remembers.
FREE = (
  *("steps", "checkpoint", "progress", "warm_start.folder", "label"),
  *("model.sha256", "rollout.mismatch_every"),
  "rollout.dynamic.max_batches",  # It only stops a run.
  *("guard.sigmas", "guard.max_consecutive"),
  *ROUNDING,
)

# With another chain: what it samples of a prompt is the chain's affair.
SAMPLED = ("rollout.per_prompt", "rollout.dynamic", "async_rollout")


class ConfigError(ValueError):
  """A configuration that cannot be run; the message says how to mend it."""


def differences(old: dict, new: dict) -> list[str]:
  """Dotted names whose values differ between two plain configurations."""
  a, b = flatten(old), flatten(new)
  return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def plain(config: ConfigDict) -> dict:
  """The configuration as it looks after a trip through JSON.

  Of the sub-dicts of methods it holds those of the chain, complete.
  """
  return json.loads(json.dumps(hyper.complete(config.to_dict())))


def write(path: pathlib.Path, values: dict) -> None:
  """Writes JSON so that a kill leaves the old file whole, or the new one."""
  text = json.dumps(values, indent=2)
  if not processes.is_first() or (path.exists() and path.read_text() == text):
    return
  partial = path.with_suffix(".partial")
  partial.write_text(text)
  partial.replace(path)


def read(path: pathlib.Path) -> dict:
  """What `write` wrote.

  Raises:
    ConfigError: the file is damaged.
  """
  try:
    values = json.loads(path.read_text())
    if not isinstance(values, dict):
      raise ValueError(f"it holds a {type(values).__name__}, not settings")
  except ValueError as error:
    raise ConfigError(
      f"{path} is not JSON as it was written ({error}), so nobody knows what "
      "made the files beside it; restore it, or use another folder."
    ) from error
  return values


def build_chain(config: ConfigDict) -> LossTransform:
  """The chain of `config.chain` with the hyper-parameters of its sub-dicts."""
  return hyper.chain_of(config.to_dict(), config.chain)


def check(config: ConfigDict, workdir: str | os.PathLike | None = None) -> None:
  """Raises everything that is wrong with a configuration at once.

  Args:
    config: as `get_config` returned it.
    workdir: if it holds a run, that run must have the same configuration, but
      for the fields in `FREE`.

  Raises:
    ConfigError: one line per problem.
  """
  refuse(problems(config, workdir))
  _tell_rounding(_run_in(workdir), plain(config))


def check_kind(config: ConfigDict, supervised: bool) -> None:
  """Raises if a configuration is for the other program.

  Args:
    config: of a run.
    supervised: whether demonstrations are to be learnt.

  Raises:
    ConfigError: it is of reinforcement learning, or the other way round.
  """
  if fields.is_supervised(config) != supervised:
    here, there = ("sft", "train") if supervised else ("train", "sft")
    raise ConfigError(
      f"this configuration is for experiments.{there}, not experiments.{here}: "
      f"it has {'no' if supervised else 'a'} section config.data."
    )


def refuse(found: Sequence[str]) -> None:
  """Raises a ConfigError if there are problems."""
  if found:
    raise ConfigError(
      f"the configuration has {len(found)} problem(s):\n"
      + "\n".join(f"  - {p}" for p in found)
    )


def problems(
  config: ConfigDict, workdir: str | os.PathLike | None = None
) -> list[str]:
  """One line per problem that `check` would raise."""
  values, old = config.to_dict(), _run_in(workdir)
  wrong = dict(fields.misfits(values))
  found = list(wrong.values())
  found += chains.problems(values, wrong)
  found += relations.problems(flatten(values), wrong)
  if not wrong.keys() & {"steps", "optimizer.warmup", "optimizer.decay"}:
    found += _length(flatten(values), old, workdir)
  if old and not found:
    found += _changes(old, plain(config), workdir)
  return found


@contextlib.contextmanager
def building() -> Iterator[None]:
  """Makes what only building can tell a ConfigError: it is a wrong value too.

  Only `build` belongs inside; it puts values together and computes nothing.
  """
  try:
    yield
  except ConfigError:
    raise
  # Generators of reasoning-gym check their options by assert.
  except (ImportError, TypeError, ValueError, AssertionError) as error:
    told = str(error) or repr(error)
    raise ConfigError(f"the configuration cannot be built: {told}") from error


def _run_in(workdir: str | os.PathLike | None) -> dict | None:
  """The configuration of the run that a folder holds; None if none."""
  written = None if workdir is None else pathlib.Path(workdir) / "config.json"
  if written is None or not written.exists():
    return None
  return hyper.complete(read(written))


def _tell_rounding(old: dict | None, new: dict) -> None:
  """Warns that a run will not go on bit for bit."""
  other = set(differences(old, new)).intersection(ROUNDING) if old else ()
  if other:
    logging.warning(
      "the run goes on with other values of %s: later steps may differ from "
      "those of an unchanged run by rounding",
      ", ".join(f"config.{name}" for name in sorted(other)),
    )


def _end(flat: dict) -> float:
  """The step after which the learning rate is 0."""
  decay = flat.get("optimizer.decay", 0)
  return flat.get("optimizer.warmup", 0) + decay if decay else math.inf


def _length(
  flat: dict, old: dict | None, workdir: str | os.PathLike | None
) -> Iterator[str]:
  steps, end = flat["steps"], _end(flat)
  held = _end(flatten(old)) if old else math.inf
  if steps > held:
    yield (
      f"config.steps = {steps}, but the run in {workdir} ends at step {held}, "
      "where config.optimizer.warmup + decay bring its learning rate to 0, and "
      "another decay would change the steps it has made; train a longer run in "
      "another --workdir, with a longer decay."
    )
  elif steps > end:
    yield (
      f"config.steps = {steps}, but the learning rate is 0 after "
      f"config.optimizer.warmup + decay = {end} steps; raise decay to the "
      "number of steps, or set it to 0 for a constant rate."
    )


def _changes(old: dict, new: dict, workdir: str | os.PathLike) -> Iterator[str]:
  """What keeps a run from going on with another configuration."""
  within = lambda name, group: any(
    name == f or name.startswith(f + ".") for f in group
  )
  of_chain = {"chain", *old["chain"], *new["chain"], *SAMPLED}
  free = {*FREE, *(of_chain if new["checkpoint"]["new_chain"] else ())}
  switch = (
    ", or config.checkpoint.new_chain=True to keep its weights and optimizer "
    "and begin with a new state of the methods"
  )
  a, b = flatten(old), flatten(new)
  for name in differences(old, new):
    if not within(name, free):
      yield (
        f"{workdir} holds a run with config.{name} = {a.get(name)!r}, this one "
        f"has {b.get(name)!r}; use another --workdir, or the old value to go "
        f"on with that run{switch if within(name, of_chain) else ''}."
      )
