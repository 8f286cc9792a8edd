"""Where the arrays of a run live, and what they take on each device."""

import math
from typing import NamedTuple

import jax
import numpy as np

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.planning.given import Given
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import stored
from rlvr_jax.types import PyTree, TokenBatch

ROWS = "rows over data and fsdp"


class Place(NamedTuple):
  """Some arrays of a run."""

  name: str
  split: str  # what is split over which axes
  bytes: float  # on each device


def of(p: Programs, given: Given, rollout: TokenBatch) -> list[Place]:
  """All that lives longer than a layer.

  Args:
    p: the programs.
    given: what they begin with.
    rollout: what sampling makes, as ShapeDtypeStructs with shardings.
  """
  state, c = given.state, p.model.config
  weights = "fsdp; heads, hidden units and vocabulary over tensor"
  replica = "whole on every device"
  rows, rest = stored(state.method)
  small = rest, state.guard, state.step, state.cursor, state.key
  named = [
    ("parameters", weights, state.params),
    ("optimizer", weights, state.opt),
    ("reference policy", weights, given.ref),
    ("slow copy", weights, state.ema),
    ("model of rewards", weights, state.learned),
    ("rows stored for replay", f"{ROWS}, if these divide them", rows),
    ("states of methods, guard, counters", replica, small),
    ("rollout", ROWS, rollout),
    ("rollout that waits", ROWS, state.pending),
  ]
  held = [entry for entry in named if jax.tree.leaves(entry[2])]
  found = [Place(name, split, on_device(tree)) for name, split, tree in held]
  heads = f"{ROWS}; heads over tensor"
  found.append(Place("keys and values of a rollout", heads, _cache(p)))
  if c.remat:
    name = "inputs of layers, kept for the gradient"
    found.append(Place(name, ROWS, _kept(p)))
  return found


def on_device(tree: PyTree) -> float:
  """Bytes of ShapeDtypeStructs on each device."""
  part = lambda x: math.prod(x.sharding.shard_shape(x.shape))
  return sum(part(x) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _kept(p: Programs) -> float:
  """Bytes of the states between layers of a slice of an update."""
  c, s = p.model.config, p.settings
  rows = p.rows()[1] / s.updates / s.slices
  state = np.dtype(c.dtype).itemsize * c.width * c.layers
  tokens = rows * (s.prompt_width + s.length)
  return tokens * state / mesh_lib.row_parts(p.mesh)


def _cache(p: Programs) -> float:
  """Bytes of the keys and values of prompts and rows, on a device."""
  c, s, tensor = p.model.config, p.settings, p.mesh.shape["tensor"]
  heads = c.kv_heads / tensor if c.kv_heads % tensor == 0 else c.kv_heads
  token = 2 * c.layers * heads * c.head_dim * np.dtype(c.dtype).itemsize
  block = p.model.block
  up = lambda positions: -(-positions // block) * block
  samples = sum(rows for _, rows in p.plan.draws)
  rows, prompt = min(samples, s.rows or samples), up(s.prompt_width)
  tokens = s.asked * prompt + rows * up(prompt + s.length)
  return token * tokens / mesh_lib.row_parts(p.mesh)
