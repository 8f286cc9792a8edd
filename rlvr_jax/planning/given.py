"""What the programs of a run begin with, as shapes and places."""

from typing import NamedTuple

import jax
import numpy as np

from rlvr_jax.models import cache
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.planning.work import ONCE, Runs
from rlvr_jax.sampling import rows as rows_lib
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import TrainState, layout, like
from rlvr_jax.types import PyTree


class Given(NamedTuple):
  """What `Programs.ahead` takes: ShapeDtypeStructs with shardings."""

  state: TrainState
  ref: PyTree | None
  prompts: jax.ShapeDtypeStruct
  prompt_mask: jax.ShapeDtypeStruct


def runs(p: Programs, program: str) -> Runs:
  """How often a program does what it leaves open, if no response ends early."""
  if program != "rollout":
    return ONCE
  s = p.settings
  samples, devices = samples_of(p), mesh_lib.row_parts(p.mesh)
  own = rows_lib.of_device(samples, s.rows, devices)
  rounds = -(-samples // (own * devices))
  block = p.model.block
  positions = sum(cache.sizes(s.prompt_width, block)) + s.length
  pieces = np.array(cache.sizes(positions, block))
  begins = np.cumsum(pieces) - pieces
  # Of the tokens of a response, those that come after a piece has begun.
  reach = np.clip((positions - begins) / s.length, 0, 1)
  return Runs(rounds * s.length, float(np.average(reach, weights=pieces)))


def samples_of(p: Programs) -> int:
  """Responses that are drawn at a time."""
  return sum(count for _, count in p.asking.draws)


def of(p: Programs) -> Given:
  """The state before the first step, and the widest prompts."""
  params = jax.eval_shape(p.model.init, jax.random.key(0))
  state = jax.eval_shape(p.init_state, jax.random.key(0), None)
  ref, row = p.weights.frozen(params), mesh_lib.by_row(p.mesh)
  if ref is not None:
    ref = like(ref, mesh_lib.shardings(ref, p.mesh))
  state = like(state, layout(state, p.mesh))
  return Given(state, ref, *(like(x, row) for x in p.prompts()))
