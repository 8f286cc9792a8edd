"""Digests of arrays, computed where they lie: what changed on disk is seen."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax.types import Array, PyTree


def of(tree: PyTree) -> dict[str, int]:
  """The digest of every leaf by its path, such as "params.blocks.up".

  Args:
    tree: of arrays of any dtype of 8 to 64 bits but complex, on any mesh.

  Returns:
    Whole numbers below 2^32, the same on every mesh.
  """
  leaves = jax.tree.leaves(tree)
  if not leaves:
    return {}
  return dict(zip(paths(tree), np.asarray(_all(leaves)).tolist()))


def paths(tree: PyTree) -> list[str]:
  """The paths of the leaves of a tree, dotted, in their order."""
  found, _ = jax.tree_util.tree_flatten_with_path(tree)
  name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
  return [name(path) for path, _ in found]


def leaf(x: Array) -> Array:
  """The digest of one array, u32[].

  The bits of every element are mixed with its place, and all are summed modulo
  2^32: the sum of whole numbers does not depend on their order, so neither
  does the digest on how the array is split. One changed bit always changes it,
  anything else with probability 1 - 2^-32.
  """
  words = _words(x)
  return _mixed(words, _places(words.shape)).sum(dtype=jnp.uint32)


@jax.jit
def _all(leaves: list[Array]) -> Array:
  return jnp.stack([leaf(x) for x in leaves])


def _words(x: Array) -> Array:
  """The bits of an array as u32; two words for an element of 64 bits."""
  if x.dtype == jnp.bool:
    return x.astype(jnp.uint32)
  bits = min(8 * x.dtype.itemsize, 32)
  return jax.lax.bitcast_convert_type(x, f"uint{bits}").astype(jnp.uint32)


def _places(shape: tuple[int, ...]) -> Array:
  """The place of every element in row-major order, modulo 2^32.

  Made of one range per axis, so that a split array stays split.
  """
  place, stride = jnp.zeros(shape, jnp.uint32), 1
  for axis in reversed(range(len(shape))):
    along = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    place += along * jnp.uint32(stride % 2**32)
    stride *= shape[axis]
  return place


def _mixed(words: Array, places: Array) -> Array:
  """A bijection of the word for every place, so no change of one is lost."""
  x = words ^ (places * jnp.uint32(0x9E3779B1))
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return x ^ (x >> 16)
