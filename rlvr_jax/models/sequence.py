"""Positions of a full pass split over devices: rows too long for one.

Every layer but attention works on tokens one by one. They lie in one axis, a
device's own ones side by side: first the devices of the rows, then those of the
positions, then the device's rows, then its positions.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.types import Array

# What kernels of TPUs want a device's positions to be a multiple of.
UNIT = 128


class Spread(NamedTuple):
  """Devices that the tokens of a full pass lie on."""

  rows: int = 1  # parts that rows are split into
  parts: int = 1  # that positions are split into
  unit: int = 1  # that a device's positions are a multiple of

  def padded(self, x: Array, empty: int) -> Array:
    """[B, S, ...] with empty positions behind until all parts are equal."""
    added = -x.shape[1] % (self.parts * self.unit) if self.parts > 1 else 0
    return longer(x, added, empty)

  def flat(self, x: Array) -> Array:
    """[B, S, ...] to [B S, ...]."""
    rows, length, *rest = x.shape
    if self.parts > 1:
      own = (rows // self.rows, self.parts, length // self.parts)
      x = x.reshape(self.rows, *own, *rest).swapaxes(1, 2)
    return x.reshape(-1, *rest)

  def back(self, x: Array, rows: int) -> Array:
    """The inverse, of so many rows."""
    rest = x.shape[1:]
    if self.parts > 1:
      own = (self.parts, rows // self.rows, -1)
      x = x.reshape(self.rows, *own, *rest).swapaxes(1, 2)
    return x.reshape(rows, -1, *rest)


TOGETHER = Spread()


def over(mesh: Mesh | None, rows: int) -> Spread:
  """How so many rows lie on a mesh; whole if its devices do not divide them."""
  if mesh is None or mesh.shape["sequence"] == 1:
    return TOGETHER
  devices = mesh_lib.pass_parts(mesh)
  if rows % devices:
    return TOGETHER
  on_tpu = mesh.devices.flat[0].platform == "tpu"
  return Spread(devices, mesh.shape["sequence"], UNIT if on_tpu else 1)


def longer(x: Array, added: int, empty: float) -> Array:
  """[B, S, ...] with so many positions more."""
  rest = [(0, 0)] * (x.ndim - 2)
  return jnp.pad(x, [(0, 0), (0, added), *rest], constant_values=empty)
