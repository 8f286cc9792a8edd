"""Where the arrays of a run live, and what they take on each device.

docs/scaling.md has the formula of an update's memory in words.
"""

import math
from typing import NamedTuple

import jax
import numpy as np

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models import whole
from rlvr_jax.planning.given import Given, samples_of
from rlvr_jax.sampling import rows as rows_lib
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import stored
from rlvr_jax.types import PyTree, TokenBatch

ROWS = "rows over data, fsdp and sequence"
PARTS = "rows over data and fsdp, positions over sequence"
WEIGHTS = "fsdp; heads, hidden units and vocabulary over tensor"
KEPT = "what layers keep for the gradient"
LAYER = "one layer, while its gradient is made"
# Arrays that the gradient of a layer works with at the same time, by their
# size: read from what XLA's compiler for CPU allocates.
STATES, FEEDS, KEYS, SCORES = 11, 5, 3, 3


class Place(NamedTuple):
  """Some arrays of a run."""

  name: str
  split: str  # what is split over which axes
  bytes: float  # on each device


def of(p: Programs, given: Given, rollout: TokenBatch) -> list[Place]:
  """All that lives longer than a layer, and the largest that does not.

  Args:
    p: the programs.
    given: what they begin with.
    rollout: what sampling makes, as ShapeDtypeStructs with shardings.
  """
  state, c = given.state, p.model.config
  replica = "whole on every device"
  rows, rest = stored(state.method)
  small = rest, state.guard, state.step, state.cursor, state.key
  named = [
    ("parameters", WEIGHTS, state.params),
    ("optimizer", WEIGHTS, state.opt),
    ("reference policy", WEIGHTS, given.ref),
    ("slow copy", WEIGHTS, state.ema),
    ("model of rewards", WEIGHTS, state.learned),
    ("rows stored for replay", f"{ROWS}, if these divide them", rows),
    ("states of methods, guard, counters", replica, small),
    ("rollout", ROWS, rollout),
    ("rollout that waits", ROWS, state.pending),
  ]
  held = [entry for entry in named if jax.tree.leaves(entry[2])]
  found = [Place(name, split, on_device(tree)) for name, split, tree in held]
  heads = f"{ROWS}; heads over tensor"
  found.append(Place("keys and values of a rollout", heads, _cache(p)))
  found.append(Place("gradients", WEIGHTS, _gradients(p, state.params)))
  work = [(KEPT, _kept(p)), (LAYER, _layer(p))]
  if c.remat == "none":  # The compiler decides what is kept of a layer.
    work = []
  return found + [Place(name, PARTS, size) for name, size in work]


def of_update(p: Programs, given: Given) -> float:
  """Bytes of a device that an update takes at its peak.

  With `remat` other than "none".
  """
  weights = on_device((given.state.params, given.state.opt))
  return weights + _gradients(p, given.state.params) + _kept(p) + _layer(p)


def on_device(tree: PyTree) -> float:
  """Bytes of ShapeDtypeStructs on each device."""
  part = lambda x: math.prod(x.sharding.shard_shape(x.shape))
  return sum(part(x) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _gradients(p: Programs, params: PyTree) -> float:
  """Bytes of the gradient, f32; with slices also of that of one slice."""
  part = lambda x: math.prod(x.sharding.shard_shape(x.shape))
  copies = 1 if p.settings.slices == 1 else 2
  return copies * 4 * sum(part(x) for x in jax.tree.leaves(params))


def _slice(p: Programs) -> tuple[float, int]:
  """Rows of a device in a slice of an update, and their positions there."""
  s = p.settings
  parts = s.updates * s.slices * mesh_lib.pass_parts(p.mesh)
  length = s.prompt_width + s.length - 1
  return p.rows()[1] / parts, -(-length // p.mesh.shape["sequence"])


def _kept(p: Programs) -> float:
  """Bytes of the states between layers, and of products that are kept.

  Those of a slice of an update; products of the layer whose gradient is made
  are counted there.
  """
  c, (rows, length) = p.model.config, _slice(p)
  heads = (c.heads + 2 * c.kv_heads) * c.head_dim
  products = c.width + (heads + 2 * c.hidden) / p.mesh.shape["tensor"]
  token = c.layers * c.width
  token += (c.layers - 1) * products if c.remat == "selective" else 0
  return rows * length * token * np.dtype(c.dtype).itemsize


def _layer(p: Programs) -> float:
  """Bytes that the gradient of a layer works with, of a slice."""
  c, (rows, length) = p.model.config, _slice(p)
  tensor, size = p.mesh.shape["tensor"], np.dtype(c.dtype).itemsize
  units = FEEDS * c.hidden + KEYS * c.kv_heads * c.head_dim
  token = STATES * c.width + units / tensor
  parts = p.mesh.shape["sequence"]
  # Of split rows a device computes all heads, where keys are not split.
  whole_heads = parts > 1 and not mesh_lib.heads_over(p.mesh, c.kv_heads)
  heads = c.heads if whole_heads else c.heads / tensor
  scores = SCORES * 4 * min(length, whole.BLOCK) * length * parts * heads
  return rows * (length * token * size + scores)


def _cache(p: Programs) -> float:
  """Bytes of the keys and values of prompts and rows, on a device."""
  c, s, tensor = p.model.config, p.settings, p.mesh.shape["tensor"]
  heads = c.kv_heads / tensor if c.kv_heads % tensor == 0 else c.kv_heads
  token = 2 * c.layers * heads * c.head_dim * np.dtype(c.dtype).itemsize
  block = p.model.block
  up = lambda positions: -(-positions // block) * block
  devices, prompt = mesh_lib.row_parts(p.mesh), up(s.prompt_width)
  own = rows_lib.of_device(samples_of(p), s.rows, devices)
  return token * (s.asked / devices * prompt + own * up(prompt + s.length))
