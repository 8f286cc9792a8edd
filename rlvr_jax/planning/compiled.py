"""Compiles a program ahead of time and reads off what a run of it takes."""

import time
from typing import NamedTuple

from rlvr_jax.planning import hlo, work
from rlvr_jax.planning.chips import Topology
from rlvr_jax.planning.programs import Program


class Figures(NamedTuple):
  """What one run of a program takes on one device; bytes unless said."""

  name: str
  times: int  # that a step runs it
  arguments: float
  outputs: float  # that are not written over arguments
  temporaries: float
  flops: float
  moved: hlo.Moved
  seconds: float  # that compiling took

  @property
  def memory(self) -> float:
    """The most that is held at a time."""
    return self.arguments + self.outputs + self.temporaries


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


def figures(program: Program, devices: int, trips: int) -> Figures:
  """Compiles; no array is allocated.

  Args:
    program: with shapes and places.
    devices: that it runs on.
    trips: of a loop that ends when its rows do, at most.
  """
  began = time.perf_counter()
  traced = program.run.trace(*program.arguments)
  compiled = traced.lower().compile()
  seconds = time.perf_counter() - began
  memory = compiled.memory_analysis()
  return Figures(
    program.name,
    program.times,
    memory.argument_size_in_bytes,
    memory.output_size_in_bytes - memory.alias_size_in_bytes,
    memory.temp_size_in_bytes,
    work.flops(traced.jaxpr.jaxpr, trips) / devices,
    hlo.moved(compiled.as_text(), trips),
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
