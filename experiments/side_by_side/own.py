"""This library's sampler on a problem of the bench."""

import functools
import math
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from experiments.side_by_side import problem
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import Transformer
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.hf.names import tensors
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Draw, Need, PyTree, TokenBatch

# Numbers of a model that a cache holds.
SMALL = 2**23
# Nothing ends a response but its length.
ENDS = sampler.Ends((), 0)


def a_device_for_each_core() -> None:
  """So that each can work off rows of its own; call it before any other use."""
  cores = len(os.sched_getaffinity(0))
  jax.config.update("jax_num_cpu_devices", cores)


def devices(sizes: problem.Sizes, rows: int) -> int:
  """How many devices the cores are best seen as.

  Small operations are not worth sharing out: each core works off rows of its
  own. Large ones are, or every core would read all weights from memory.
  """
  if sizes.matrices > SMALL:
    return 1
  return math.gcd(len(os.sched_getaffinity(0)), rows // 8)


def params(sizes: problem.Sizes, model: Transformer) -> PyTree:
  """The weights of `problem.tensors` as parameters of the model."""
  files, kind = problem.tensors(sizes), model.config.param_dtype
  found: dict = {}
  for tensor in tensors(model.config):
    weight = jnp.asarray(tensor.to_weight(files[tensor.name]), kind)
    *path, last = tensor.path
    place = functools.reduce(lambda at, k: at.setdefault(k, {}), path, found)
    place.setdefault(last, []).append(weight)
  whole = lambda path, x: jnp.stack(x) if path[0].key == "blocks" else x[0]
  return jax.tree_util.tree_map_with_path(
    whole, found, is_leaf=lambda x: isinstance(x, list)
  )


def unit(
  sizes: problem.Sizes, shape: problem.Shape, ragged: bool, dtype: str
) -> Callable[[], int]:
  """A function that samples everything once and returns tokens sampled."""
  some = jax.devices()[: devices(sizes, shape.rows)]
  mesh = mesh_lib.make_mesh(devices=some)
  model = Transformer(sizes.config(dtype), Layout(mesh))
  everywhere = NamedSharding(mesh, PartitionSpec())
  weights = jax.device_put(params(sizes, model), everywhere)
  prompts, run = asked(sizes, shape, ragged), sampling(model, shape, ragged)
  step = iter(range(2**31))

  def once() -> int:
    batch = run(weights, *prompts, key=jax.random.key(next(step)))
    return int(jax.block_until_ready(batch).mask.sum())

  return once


def asked(
  sizes: problem.Sizes, shape: problem.Shape, ragged: bool
) -> tuple[np.ndarray, np.ndarray]:
  """The prompts of a rollout: i32[P, W] padded on the left, and bool[P, W]."""
  count = shape.prompts * (problem.TURNS if ragged else 1)
  return problem.padded(problem.prompts(sizes, shape, count), shape.longest)


def sampling(
  model: Transformer,
  shape: problem.Shape,
  ragged: bool,
  needs: tuple[Need, ...] = (),
) -> Callable[..., TokenBatch]:
  """(params, prompts, prompt_mask, key) to a rollout, compiled."""
  limits = jnp.asarray(problem.ragged_lengths(shape)) if ragged else None
  run = functools.partial(
    sampler.rollout,
    draws=(Draw("main", shape.group),),
    model=model,
    length=shape.new,
    ends=ENDS,
    limits=limits,
    rows=shape.rows,
    needs=needs,
  )
  return jax.jit(run)
