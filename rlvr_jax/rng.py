"""Randomness as a function of the step: nothing is split, nothing is stored.

Every die in a run is `key(base, purpose, step, update)`. A run killed at any
time and resumed throws the same dice, and a method that is added to a chain
does not change another method's dice because `named` folds in a checksum of
the name.
"""

import enum
import zlib

import jax


class Purpose(enum.IntEnum):
  """What a key is for; the numbers are part of every checkpointed run."""

  INIT = 0
  WARM_START = 1
  SAMPLE = 2
  PREPARE = 3
  SHUFFLE = 4
  UPDATE = 5
  EVALUATE = 6
  LEARN = 7


def key(
  base: jax.Array,
  purpose: Purpose,
  step: jax.Array | int = 0,
  update: jax.Array | int = 0,
) -> jax.Array:
  """The key of one purpose at one moment.

  Args:
    base: key of the run, made once by `jax.random.key(seed)`.
    purpose: what the randomness is used for.
    step: i32[] finished training steps.
    update: i32[] minibatch index inside the step.

  Returns:
    A typed PRNG key.
  """
  folded = jax.random.fold_in(base, int(purpose))
  return jax.random.fold_in(jax.random.fold_in(folded, step), update)


def named(base: jax.Array, name: str) -> jax.Array:
  """The key of one named user: independent of who else draws."""
  return jax.random.fold_in(base, zlib.crc32(name.encode()))
