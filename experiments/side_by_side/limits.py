"""What sampling computes and reads, and what this machine can do of each."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from experiments.side_by_side import problem
from rlvr_jax.models import mesh as mesh_lib

NUMBER = {"float32": 4, "bfloat16": 2}  # bytes


class Work(NamedTuple):
  """Of all tokens, or of a second."""

  flops: float
  bytes: float


def of(
  sizes: problem.Sizes, shape: problem.Shape, ragged: bool, dtype: str
) -> Work:
  """The least that decoding takes: prompts, which are read once, left out.

  Products of every token with all matrices, and of its queries with the keys
  and values before it. Of bytes, those keys and values, and the weights as
  often as all rows take a token.
  """
  count = shape.prompts * (problem.TURNS if ragged else 1)
  prompts = [len(row) for row in problem.prompts(sizes, shape, count)]
  new = np.full((count, shape.group), shape.new)
  new = problem.ragged_lengths(shape) if ragged else new
  # Token n of a response sees the prompt and n tokens.
  seen = (new * np.array(prompts)[:, None] + new * (new - 1) / 2).sum()
  per_position = 2 * sizes.layers * sizes.head_dim
  steps = new.sum() / shape.rows
  numbers = steps * sizes.matrices + seen * per_position * sizes.kv_heads
  return Work(
    2.0 * (new.sum() * sizes.matrices + seen * per_position * sizes.heads),
    NUMBER[dtype] * float(numbers),
  )


def machine() -> Work:
  """Operations and bytes a second of all devices together, float32, measured.

  Of the products of square matrices, and of reading what no cache holds.
  """
  mesh = mesh_lib.make_mesh()
  rows = NamedSharding(mesh, mesh_lib.ROWS)
  ones = lambda *shape: jax.device_put(jnp.ones((mesh.size, *shape)), rows)
  squares, long = ones(1024, 1024), ones(2**26)
  product = jax.jit(lambda x: jnp.einsum("nij,njk->nik", x, x))
  total = jax.jit(lambda x: x.sum(axis=-1))
  return Work(
    2 * squares.size * 1024 / _seconds(lambda: product(squares)),
    long.nbytes / _seconds(lambda: total(long)),
  )


def _seconds(work: Callable, times: int = 9) -> float:
  """The least of some runs."""
  found = []
  for _ in range(times):
    began = time.perf_counter()
    jax.block_until_ready(work())
    found.append(time.perf_counter() - began)
  return min(found)
