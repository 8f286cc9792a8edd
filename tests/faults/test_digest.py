"""Digests: the same on every mesh, another after any change of one bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.training import digest

DTYPES = ("float32", "bfloat16", "float16", "int32", "uint8", "bool")


def array(dtype, shape=(4, 8)):
  values = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
  if dtype == "bool":
    return values.astype(bool)
  bits = np.random.default_rng(1).bytes(values.size * jnp.dtype(dtype).itemsize)
  return np.frombuffer(bits, dtype).reshape(shape)


def flipped(x, bit):
  """One bit of an array changed; of truth values one of them."""
  changed = np.array(x)
  if x.dtype == bool:
    changed.flat[bit % x.size] ^= True
  else:
    changed.view(np.uint8).flat[bit // 8 % x.nbytes] ^= 1 << bit % 8
  return changed


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_single_flipped_bit_changes_the_digest(dtype):
  x = array(dtype)
  all_flipped = np.stack([flipped(x, bit) for bit in range(8 * x.nbytes)])
  found = jax.jit(jax.vmap(digest.leaf))(all_flipped)
  assert not np.any(np.asarray(found) == digest.of([x])["0"])


def test_the_digest_is_the_same_on_every_mesh():
  x = {name: array(name, (8, 16)) for name in DTYPES}
  alone = digest.of(x)
  for shape, spec in (
    (dict(data=4), ("data",)),
    (dict(data=2, fsdp=2, tensor=2), (("tensor", "data"), "fsdp")),
  ):
    count = int(np.prod(list(shape.values())))
    mesh = make_mesh(**shape, devices=jax.devices()[:count])
    where = NamedSharding(mesh, PartitionSpec(*spec))
    assert digest.of(jax.device_put(x, where)) == alone


def test_zeros_and_elements_that_change_places_are_seen():
  of = lambda x: digest.of([jnp.asarray(x)])["0"]
  assert of(np.zeros(3)) != of(np.zeros(4))
  assert of([1.0, 2.0]) != of([2.0, 1.0])
  assert of([0.0]) != of([-0.0])
  assert of([np.nan]) == of([np.nan])
  assert of(np.zeros((0, 3))) == 0


def test_leaves_have_the_names_of_their_places():
  tree = {"params": {"up": jnp.ones(2)}, "opt": (jnp.ones(()), ())}
  assert list(digest.of(tree)) == ["opt.0", "params.up"]
  assert digest.of({"chain": ()}) == {}
