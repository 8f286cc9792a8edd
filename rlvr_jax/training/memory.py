"""What the programs of a run take of a device, told before the first step."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
from absl import logging
from ml_collections import ConfigDict

from rlvr_jax.training import config as config_lib
from rlvr_jax.training import fields

Table = dict[str, "Bytes"]
_SIGNS = ("RESOURCE_EXHAUSTED", "Out of memory")


class Bytes(NamedTuple):
  """What a program takes of each device while it runs."""

  arguments: int
  outputs: int  # beyond what is written over arguments
  temporaries: int

  @property
  def total(self) -> int:
    """All at the same time."""
    return sum(self)


def of(programs: Mapping[str, jax.stages.Compiled]) -> Table:
  """What compiled programs will take, as their compiler says."""
  told = {name: p.memory_analysis() for name, p in programs.items()}
  return {
    name: Bytes(
      each.argument_size_in_bytes,
      each.output_size_in_bytes - each.alias_size_in_bytes,
      each.temp_size_in_bytes,
    )
    for name, each in told.items()
    if each is not None  # Not every backend tells.
  }


def tell(table: Table, workdir: pathlib.Path) -> None:
  """Logs a table and writes it to memory.json, bytes per device."""
  logging.info("%s", text(table))
  values = {k: v._asdict() | {"total": v.total} for k, v in table.items()}
  config_lib.write(workdir / "memory.json", values)


def has_run_out(error: jax.errors.JaxRuntimeError) -> bool:
  """Whether an error says that memory does not suffice."""
  # A CPU reports it as INTERNAL, in these words.
  return any(sign in str(error) for sign in _SIGNS)


def explain(
  error: jax.errors.JaxRuntimeError, table: Table, config: ConfigDict
) -> None:
  """Says what to change if an error is that memory has run out.

  Args:
    error: of a program.
    table: what the programs take, as far as it is known by then.
    config: of the run.

  Raises:
    MemoryError: that is what it is.
  """
  if not has_run_out(error):
    return
  numbered = [f"{n}. {knob}" for n, knob in enumerate(_knobs(config), 1)]
  raise MemoryError(
    "\n".join(
      [
        f"a device has too little memory: {error}",
        text(table),
        "What helps, in this order:",
        *numbered,
      ]
    )
  ) from error


def text(table: Table) -> str:
  """A table for a reader."""
  if not table:
    return (
      "No program of a step was compiled yet: the weights alone are too large, "
      "or the warm start is."
    )
  rows = [
    f"  {name:8} {_size(row.total)} = {_size(row.arguments)} arguments + "
    f"{_size(row.outputs)} outputs + {_size(row.temporaries)} temporaries"
    for name, row in table.items()
  ]
  return "\n".join(["Predicted for each device:", *rows])


def _knobs(config: ConfigDict) -> list[str]:
  """Memory for time, then for what is learned."""
  slices = f"raise config.train.slices = {config.train.slices}"
  now = config.model.remat
  remat = [] if now == "full" else [f"config.model.remat = 'full', now {now!r}"]
  mesh = "on several devices, a larger config.mesh.fsdp or tensor"
  if fields.is_supervised(config):
    length = (
      f"lower config.data.length = {config.data.length}, in another --workdir"
    )
    rows = f"{slices}: rows at a time; it changes rounding alone"
    return [rows, *remat, mesh, length]
  return [
    f"{slices} for the update and the scoring; for the rollout set "
    f"config.rollout.rows = {config.rollout.rows}, responses at a time, 0 for "
    "all; both change rounding alone",
    *remat,
    mesh,
    f"lower config.rollout.max_response = {config.rollout.max_response}, "
    "tokens, 0 for the longest of the task, in another --workdir",
  ]


def _size(count: int) -> str:
  """Bytes with a unit, three digits."""
  for unit in ("B", "KiB", "MiB", "GiB"):
    if count < 1024:
      return f"{count:.3g} {unit}"
    count /= 1024
  return f"{count:.3g} TiB"
