"""Chips, their published rates, and devices that only compile for them."""

import importlib.util
import math
import os
import re
from typing import NamedTuple

import jax
from jax.experimental import topologies

GIB = 2**30


class Chip(NamedTuple):
  """What its maker publishes of one chip."""

  memory: float  # bytes
  flops: float  # a second, bfloat16 matrix products
  bandwidth: float  # bytes a second of its memory
  network: float  # bytes a second that it sends to its neighbours, all links
  compiler: str = ""  # its name for the TPU compiler; "" is no TPU
  devices: int = 1  # that a chip shows as

  @property
  def platform(self) -> str:
    """What jax calls its devices."""
    return "tpu" if self.compiler else "gpu"


# Data sheets and documentation of Google Cloud TPU and NVIDIA. Links run both
# ways at once: a direction has half of the rate that is published for both.
CHIPS = {
  "v5e": Chip(16 * GIB, 197e12, 819e9, 200e9, "v5e"),
  "v5p": Chip(95 * GIB, 459e12, 2765e9, 600e9, "v5p"),
  "v6e": Chip(32 * GIB, 918e12, 1640e9, 400e9, "v6e"),
  "v7x": Chip(192 * GIB, 2307e12, 7380e9, 600e9, "tpu7x", 2),
  "h100": Chip(80e9, 989e12, 3350e9, 450e9),
  "h200": Chip(141e9, 989e12, 4800e9, 450e9),
}
# What the runtime keeps for itself, and what fragments.
USABLE = 0.94


class Topology(NamedTuple):
  """Some chips of one kind, wired together."""

  name: str  # of the chip
  chip: Chip
  shape: tuple[int, ...]  # chips along each axis of the network

  @property
  def devices(self) -> int:
    """How many there are for a mesh."""
    return math.prod(self.shape) * self.chip.devices

  @property
  def memory(self) -> float:
    """Bytes that a program may use on a device."""
    return USABLE * self.chip.memory / self.chip.devices


def parse(text: str) -> Topology:
  """A topology as it is written on the command line, e.g. "v5p:4x4x4".

  Raises:
    ValueError: no such chip, or not its number.
  """
  found = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", text)
  if not found or found[1] not in CHIPS:
    raise ValueError(
      f"topology = {text!r}; write a chip of {', '.join(CHIPS)} and how many "
      "of them along each axis of their network, e.g. v5e:8x8 or h100:8."
    )
  shape = tuple(int(n) for n in found[2].split("x"))
  if not all(shape):
    raise ValueError(f"topology = {text!r} has no chips; write e.g. v5e:8x8.")
  return Topology(found[1], CHIPS[found[1]], shape)


def has_compiler(topology: Topology) -> bool:
  """Whether the chip's own compiler is installed."""
  return bool(topology.chip.compiler and importlib.util.find_spec("libtpu"))


def devices(topology: Topology, own: bool) -> list[jax.Device]:
  """Devices to compile for; call it before any other use of devices.

  Args:
    topology: of the chips.
    own: whether their own compiler is used; else as many CPU devices stand in.

  Raises:
    ValueError: the compiler does not know the topology.
  """
  jax.config.update("jax_platforms", "cpu")
  if not own:
    jax.config.update("jax_num_cpu_devices", topology.devices)
    return jax.devices()
  # Without these the library looks for the TPU it runs on.
  os.environ |= {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
  }
  shape = "x".join(map(str, topology.shape))
  name = f"{topology.chip.compiler}:{shape}"
  try:
    return list(topologies.get_topology_desc(name, "tpu").devices)
  except jax.errors.JaxRuntimeError as error:
    if "lockfile" in str(error):
      raise ValueError(
        "libtpu serves one process at a time, and another one has it now: wait "
        f"for its end, or give --compiler=cpu ({error})."
      ) from error
    raise ValueError(
      f"the compiler knows no topology {topology.name}:{shape} ({error}); "
      "v5e and v6e come as e.g. 8x8 or 16x16, v5p and v7x as 2x2x2 or 4x4x4."
    ) from error
