"""What the programs of a run begin with, as shapes and places."""

from typing import NamedTuple

import jax

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import TrainState, layout, like
from rlvr_jax.types import PyTree


class Given(NamedTuple):
  """What `Programs.ahead` takes: ShapeDtypeStructs with shardings."""

  state: TrainState
  ref: PyTree | None
  prompts: jax.ShapeDtypeStruct
  prompt_mask: jax.ShapeDtypeStruct


def trips(p: Programs) -> tuple[float, float]:
  """How often the loops of a rollout run if no response ends early.

  Returns:
    Tokens, and blocks of the cache that attention reads for one, in the mean.
  """
  s = p.settings
  samples = sum(rows for _, rows in p.asking.draws)
  rounds = -(-samples // s.rows) if s.rows else 1
  positions = s.prompt_width + s.length / 2
  return rounds * s.length, positions / p.model.block + 0.5


def of(p: Programs) -> Given:
  """The state before the first step, and the widest prompts."""
  params = jax.eval_shape(p.model.init, jax.random.key(0))
  state = jax.eval_shape(p.init_state, jax.random.key(0), None)
  ref, row = p.weights.frozen(params), mesh_lib.by_row(p.mesh)
  if ref is not None:
    ref = like(ref, mesh_lib.shardings(ref, p.mesh))
  state = like(state, layout(state, p.mesh))
  return Given(state, ref, *(like(x, row) for x in p.prompts()))
