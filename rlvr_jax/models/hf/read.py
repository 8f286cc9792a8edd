"""Reads published weights, tensor by tensor, to where they shall live."""

import functools
import pathlib

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.hf import files, trust
from rlvr_jax.models.hf.names import Tensor, tensors
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.types import Array, PyTree

_HEAD, _TABLE = "lm_head.weight", "model.embed_tokens.weight"


def read_params(
  folder: str | pathlib.Path,
  model: Transformer,
  mesh: jax.sharding.Mesh,
  sha256: str = "",
) -> PyTree:
  """The parameters of a folder, laid out on a mesh.

  A device gets its own part of each tensor straight from the file, so the host
  holds one tensor at most, and of that what its devices ask for.

  Args:
    folder: with safetensors files.
    model: of the folder's config.json, without adapters.
    mesh: where the weights shall live.
    sha256: that the folder must have, see `trust.digest`; "" for any.

  Returns:
    Parameters in `model.config.param_dtype`, laid out as `mesh.shardings` says.

  Raises:
    ValueError: the files are incomplete, damaged, or not those of the
      configuration, or hold a number that is not finite; named is the tensor.
      Or a link leads out of the folder, or its digest is another.
  """
  folder, config = pathlib.Path(folder), model.config
  trust.check_links(folder)
  trust.check_digest(folder, sha256)
  held = files.index(folder)
  wanted = tensors(config)
  shapes = {tensor.name: tensor.file_shape for tensor in wanted}
  if config.tied and _HEAD in held:
    shapes[_HEAD] = shapes[_TABLE]
  files.check(held, shapes)
  params = _zeros(model, mesh)
  for path in sorted(set(held.values())):
    with files.opened(path) as file:
      for tensor in (t for t in wanted if held[t.name] == path):
        params = _put(params, tensor, file, path, mesh)
  if _HEAD in shapes and config.tied:
    table = next(t for t in wanted if t.name == _TABLE)
    _check_tied(held[_HEAD], table, params["embedding"])
  return params


def _zeros(model: Transformer, mesh: jax.sharding.Mesh) -> PyTree:
  """Room for the parameters, where they shall live."""
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  where = mesh_lib.shardings(shapes, mesh)
  make = lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return jax.jit(make, out_shardings=where)()


def _put(
  params: PyTree,
  tensor: Tensor,
  file: object,
  path: pathlib.Path,
  mesh: jax.sharding.Mesh,
) -> PyTree:
  """The parameters with one tensor of the file in its place."""
  *above, last = tensor.path
  holder = functools.reduce(dict.__getitem__, above, params)
  old = holder[last]
  spec = (*old.sharding.spec, *[None] * old.ndim)[: old.ndim]
  inner = spec if tensor.layer is None else spec[1:]
  where = NamedSharding(mesh, tensor.file_spec(P(*inner)))
  x = _read(file, tensor, where)
  place = 0 if tensor.layer is None else tensor.layer
  put = _placed(tensor.kind, old.sharding, tensor.layer is not None)
  new, finite = put(old, x, place)
  if not finite:
    raise ValueError(
      f"tensor {tensor.name!r} in {path} holds NaN or infinity; fetch it again."
    )
  holder[last] = new
  return params


def _read(file: object, tensor: Tensor, where: NamedSharding) -> Array:
  """The tensor from the file; what several devices hold is read once."""
  part, read = file.get_slice(tensor.name), {}

  def of_device(index):
    if str(index) not in read:
      read[str(index)] = part[index]
    return read[str(index)]

  return jax.make_array_from_callback(tensor.file_shape, where, of_device)


@functools.cache
def _placed(kind: Tensor, where: NamedSharding, stacked: bool):
  """(weight, tensor, layer) -> (weight with it, whether all are finite)."""

  def put(old, x, layer):
    weight = kind.to_weight(x).astype(old.dtype)
    finite = jnp.isfinite(weight).all()
    return old.at[layer].set(weight) if stacked else weight, finite

  # The old weight makes room for the new one.
  return jax.jit(put, donate_argnums=0, out_shardings=(where, None))


def _check_tied(path: pathlib.Path, table: Tensor, embedding: Array) -> None:
  """A head beside a tied embedding must be the same matrix."""
  with files.opened(path) as file:
    head = _read(file, table._replace(name=_HEAD), embedding.sharding)
  same = jax.jit(lambda a, b: (a.astype(b.dtype) == b).all())
  if not bool(same(head, embedding)):
    raise ValueError(
      f"config.json says that the embedding is tied, but {_HEAD!r} in {path} "
      "differs from it; set tie_word_embeddings to false."
    )
