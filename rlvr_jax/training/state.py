"""Everything of a run that changes, in one record: what a checkpoint holds."""

import dataclasses
from typing import NamedTuple

import flax.struct
import jax

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training.guard import GuardState
from rlvr_jax.types import Array, PyTree, TokenBatch


class Learned(NamedTuple):
  """A model of rewards that is trained beside the policy, see `Learner`."""

  params: PyTree  # like those of the policy
  opt: PyTree  # of its own optimizer


@flax.struct.dataclass
class TrainState:
  """The whole state of a run; nothing that matters is kept on the host."""

  step: Array  # i32[] steps done
  cursor: Array  # i32[] prompts consumed
  params: PyTree  # of the policy
  opt: PyTree  # of the optimizer
  method: dict[str, PyTree]  # by transform name
  ema: PyTree | None  # slow copy of params; only if some need names "ema"
  learned: Learned | None  # only if the chain has a learner
  guard: GuardState
  key: Array  # u32[2] of the run; never changes
  # The rollout of the next step, neither scored nor graded; no token counts
  # before there is one. Only with config.async_rollout.
  pending: TokenBatch | None = None


# The fields that a chain asks for; another chain begins with its own.
OF_CHAIN = ("method", "ema", "learned", "pending")


def parts(state: TrainState) -> dict[str, dict[str, PyTree]]:
  """The fields by name, in the two parts of a checkpoint: "run", "chain"."""
  fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
  chain = {name: fields.pop(name) for name in OF_CHAIN}
  if state.pending is None:
    del chain["pending"]  # Most runs know nothing of it.
  return {"run": fields, "chain": chain}


def like(shapes: PyTree, where: PyTree) -> PyTree:
  """Shapes with the place that each has: what a checkpoint is read into."""
  at = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
  return jax.tree.map(at, shapes, where)


def _is_rows(tree: PyTree) -> bool:
  return isinstance(tree, TokenBatch)


def stored(method: PyTree) -> tuple[list[TokenBatch], list[Array]]:
  """The rows that the states of methods hold, and all else that they do."""
  leaves = jax.tree.leaves(method, is_leaf=_is_rows)
  rest = [x for x in leaves if not _is_rows(x)]
  return [x for x in leaves if _is_rows(x)], rest


def layout(state: TrainState, mesh: jax.sharding.Mesh) -> TrainState:
  """A sharding per leaf: weights and moments split, the rest whole.

  Rows that a method stores are split like those of a rollout, if the devices
  divide them.
  """
  whole, rows = mesh_lib.whole(mesh), mesh_lib.by_row(mesh)
  split = lambda tree: mesh_lib.shardings(tree, mesh)

  def place(x):
    if not _is_rows(x):
      return whole
    divides = len(x.group) % mesh_lib.row_parts(mesh) == 0
    return jax.tree.map(lambda _: rows if divides else whole, x)

  return jax.tree.map(place, state, is_leaf=_is_rows).replace(
    params=split(state.params),
    opt=split(state.opt),
    ema=split(state.ema),
    learned=split(state.learned),
  )
