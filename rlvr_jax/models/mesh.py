"""The mesh, and where each array of a run lives on it.

Axes: `data` and `fsdp` both split rows; `fsdp` also splits parameters;
`sequence` splits rows, too, but in a full pass of the model positions;
`tensor` splits heads, hidden units and vocabulary. One CPU device is the mesh
(1, 1, 1, 1) and runs the same program.
"""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rlvr_jax.types import PyTree

AXES = ("data", "fsdp", "sequence", "tensor")
ROWS = P(("data", "fsdp", "sequence"))
# Those of a full pass whose positions are split.
LONG_ROWS = ("data", "fsdp")

# By the last name of a parameter's path; stacked layers have a leading axis.
_RULES = {
  "embedding": ("tensor", "fsdp"),
  "head": ("tensor", "fsdp"),
  "query": (None, "fsdp", "tensor", None),
  "key": (None, "fsdp", "tensor", None),
  "value": (None, "fsdp", "tensor", None),
  "output": (None, "tensor", None, "fsdp"),
  "gate": (None, "fsdp", "tensor"),
  "up": (None, "fsdp", "tensor"),
  "down": (None, "tensor", "fsdp"),
}


def make_mesh(
  data: int = -1,
  fsdp: int = 1,
  tensor: int = 1,
  sequence: int = 1,
  devices: Sequence[jax.Device] | None = None,
) -> Mesh:
  """A mesh over devices.

  Args:
    data: devices along the data axis; -1 takes what the others leave.
    fsdp: devices along the fsdp axis.
    tensor: devices along the tensor axis.
    sequence: devices along the sequence axis.
    devices: which ones; all if None.

  Returns:
    A Mesh with the axes data, fsdp, sequence, tensor.

  Raises:
    ValueError: the sizes do not multiply to the number of devices.
  """
  devices = jax.devices() if devices is None else devices
  if data == -1:
    data = max(1, len(devices) // (fsdp * sequence * tensor))
  shape = data, fsdp, sequence, tensor
  if math.prod(shape) != len(devices):
    sizes = " x ".join(f"{name}={n}" for name, n in zip(AXES, shape))
    raise ValueError(
      f"mesh {sizes} must equal the {len(devices)} devices there are; set "
      "config.mesh accordingly."
    )
  return Mesh(np.asarray(devices).reshape(shape), AXES)


def row_parts(mesh: Mesh) -> int:
  """Into how many parts rows are split: devices along all axes but tensor."""
  return pass_parts(mesh) * mesh.shape["sequence"]


def pass_parts(mesh: Mesh) -> int:
  """Into how many a full pass splits them: devices along data and fsdp."""
  return mesh.shape["data"] * mesh.shape["fsdp"]


def heads_over(mesh: Mesh, kv_heads: int) -> str | None:
  """The axis that heads are split over; None if it does not divide them."""
  return None if kv_heads % mesh.shape["tensor"] else "tensor"


def divisor(mesh: Mesh, slices: int) -> int:
  """What divides the rows of a minibatch: its slices, and all devices."""
  return math.lcm(slices * pass_parts(mesh), row_parts(mesh))


def _spec(path, leaf, mesh: Mesh) -> P:
  """A dimension that an axis does not divide stays whole."""
  names = [getattr(k, "key", getattr(k, "name", None)) for k in path]
  rule = next((_RULES[n] for n in reversed(names) if n in _RULES), ())
  if len(rule) != leaf.ndim:
    return P()
  fits = lambda axis, size: axis and size % mesh.shape[axis] == 0
  return P(*(a if fits(a, n) else None for a, n in zip(rule, leaf.shape)))


def shardings(tree: PyTree, mesh: Mesh) -> PyTree:
  """A NamedSharding per leaf: parameters by their names, the rest replicated.

  Optimizer moments carry the names of their parameters and follow them.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: NamedSharding(mesh, _spec(path, leaf, mesh)), tree
  )


def gathered(tree: PyTree, mesh: Mesh) -> PyTree:
  """Like `shardings`, but whole along fsdp: for what is read at every token."""

  def one(path, leaf):
    spec = _spec(path, leaf, mesh)
    return NamedSharding(mesh, P(*(None if a == "fsdp" else a for a in spec)))

  return jax.tree_util.tree_map_with_path(one, tree)


def by_row(mesh: Mesh) -> NamedSharding:
  """Rows over data, fsdp and sequence."""
  return NamedSharding(mesh, ROWS)


def put(tree: PyTree, where: PyTree) -> PyTree:
  """Arrays of the host where they live; a device gets its own part alone.

  Args:
    tree: the same on every process.
    where: a sharding per leaf, or one for all.
  """

  def one(x, sharding):
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda at: x[at])

  if isinstance(where, NamedSharding):
    return jax.tree.map(lambda x: one(x, where), tree)
  return jax.tree.map(one, tree, where)


def whole(mesh: Mesh) -> NamedSharding:
  """The same array on every device."""
  return NamedSharding(mesh, P())
