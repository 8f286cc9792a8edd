"""Compiles a program ahead of time and reads off what a run of it takes."""

import time
from typing import NamedTuple

import jax

from rlvr_jax.planning import hlo, work
from rlvr_jax.planning.chips import Topology
from rlvr_jax.training import memory
from rlvr_jax.training.memory import Bytes


class Figures(NamedTuple):
  """What one run of a program takes on one device."""

  name: str
  times: int  # that a step runs it
  memory: Bytes
  flops: float
  moved: hlo.Moved
  seconds: float  # that compiling took


class Bounds(NamedTuple):
  """The least seconds that a run of a program can take, by what limits it."""

  compute: float
  memory: float
  network: float

  @property
  def seconds(self) -> float:
    """If all three overlap."""
    return max(self)

  @property
  def limit(self) -> str:
    """The name of the largest."""
    return self._fields[self.index(max(self))]


def figures(
  name: str,
  traced: jax.stages.Traced,
  times: int,
  devices: int,
  runs: work.Runs,
) -> Figures:
  """Compiles; no array is allocated.

  Args:
    name: of the program.
    traced: with the places of its arguments.
    times: that a step runs it.
    devices: that it runs on.
    runs: what the program leaves open.

  Raises:
    MemoryError: the compiler knows the chip, and finds no room on it.
  """
  began = time.perf_counter()
  try:
    compiled = traced.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    if not memory.has_run_out(error):
      raise
    raise MemoryError(f"{name}: {error}") from None
  seconds = time.perf_counter() - began
  return Figures(
    name,
    times,
    memory.of({name: compiled})[name],
    work.flops(traced.jaxpr.jaxpr, runs) / devices,
    hlo.moved(compiled.as_text(), runs),
    seconds,
  )


def bounds(found: Figures, topology: Topology) -> Bounds:
  """What the published rates of a chip allow."""
  chip = topology.chip
  sent = sum(kind.bytes for kind in found.moved.sent.values())
  return Bounds(
    found.flops * chip.devices / chip.flops,
    found.moved.products * chip.devices / chip.bandwidth,
    sent * chip.devices / chip.network,
  )
