"""Assertions on numbers, arrays and trees, with a message of one's own."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax.types import Array, PyTree


def require(holds: bool, message: str) -> None:
  """Raises an AssertionError with the message unless it holds."""
  if not holds:
    raise AssertionError(message)


def require_close(
  message: str, got: Array, want: Array, tolerance: float
) -> None:
  """Bounds the largest error relative to the largest wanted entry, or to 1."""
  error = jnp.abs(got - want)
  scale = jnp.maximum(jnp.abs(want).max(), 1.0)
  at = jnp.unravel_index(jnp.argmax(error), error.shape)
  require(
    bool(error.max() <= tolerance * scale),
    f"{message}: {want[at]} became {got[at]}, error {error[at]:.2e}",
  )


def different(first: PyTree, second: PyTree) -> list[str]:
  """Paths of leaves that are not equal bit for bit."""
  if jax.tree.structure(first) != jax.tree.structure(second):
    return ["the structure"]
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second)
  )
  return [
    jax.tree_util.keystr(path)
    for (path, a), b in pairs
    if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=True)
  ]
