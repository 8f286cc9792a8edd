"""Groups of several batches of prompts, put together into one rollout.

Batches may be padded to different widths of prompts, so the room they are put
into holds responses alone, and gets the prompts when it is full.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training import learning, measures
from rlvr_jax.training.plan import Plan
from rlvr_jax.types import Array, TokenBatch


class Merging:
  """The compiled programs, in the order in which a step calls them.

  Args:
    plan: of the step, B rows in all.
    asking: of a batch.
    prompts: i32[P, W] and bool[P, W], shapes of the widest prompts of a step.
    mesh: where things live.
    jit: compiles.

  Attributes:
    look: (batch) -> bool[rows of the batch] that are `learning.sound`, i32[]
      tokens sampled.
    begin: (batch, i32[B] of `rows`) -> room with the first rows in it.
    fill: (room, batch, i32[B] of `rows`) -> room; donates the room.
    finish: (room, prompts, prompt_mask) -> rollout of the step.
  """

  def __init__(
    self,
    plan: Plan,
    asking: Plan,
    prompts: tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct],
    mesh: jax.sharding.Mesh,
    jit: Callable[..., jax.stages.Wrapped],
  ):
    self._plan, self._asking = plan, asking
    rows, whole = mesh_lib.by_row(mesh), mesh_lib.whole(mesh)
    self._prompts = tuple(x.update(sharding=rows) for x in prompts)
    self.look = jit(_look, out_shardings=whole)
    self.begin = jit(self._begin, out_shardings=rows)
    self.fill = jit(self._fill, donate_argnums=0, out_shardings=rows)
    self.finish = jit(_finish, out_shardings=rows)

  def rows(self, filled: int, chosen: np.ndarray) -> np.ndarray:
    """Which rows of a batch go where.

    Args:
      filled: prompts that the step has already.
      chosen: i64[n], prompts of the batch; they come next.

    Returns:
      i32[B], for every row of the step the row of the batch; -1 for none.
    """
    places = filled + np.arange(len(chosen))
    found = np.full(len(self._plan.row_prompts()), -1, np.int32)
    for own, theirs in zip(self._plan.tables(), self._asking.tables()):
      fits = places < len(own)
      found[own[places[fits]]] = theirs[chosen[fits]]
    return found

  def ahead(self, batch: TokenBatch) -> Iterator[tuple[str, jax.stages.Traced]]:
    """Traces the programs for batches like this; see `Programs.ahead`."""
    rows = self._shape()
    yield "look", self.look.trace(batch)
    begin = self.begin.trace(batch, rows)
    yield "begin", begin
    yield "fill", self.fill.trace(begin.out_info, batch, rows)
    yield "finish", self.finish.trace(begin.out_info, *self._prompts)

  def shapes(self, batch: TokenBatch) -> TokenBatch:
    """Of the rollout that is made of batches like this."""
    room = jax.eval_shape(self._begin, batch, self._shape())
    return jax.eval_shape(_finish, room, *self._prompts)

  def _shape(self) -> jax.ShapeDtypeStruct:
    shape = self._plan.row_prompts().shape
    return jax.ShapeDtypeStruct(shape, jnp.int32)

  def _begin(self, batch: TokenBatch, rows: Array) -> TokenBatch:
    """The rows of a batch without their prompts; anything where there is -1."""
    bare = batch.replace(
      tokens=batch.response, prompt_mask=batch.prompt_mask[:, :0]
    )
    place = lambda x: jnp.asarray(x, jnp.int32)
    # Branches come with their parents. Where there is -1 the last row stands,
    # which is nobody's parent: a draw comes before its branches.
    return bare.take(rows).replace(
      prompt=place(self._plan.row_prompts()),
      group=place(self._plan.row_groups()),
    )

  def _fill(
    self, room: TokenBatch, batch: TokenBatch, rows: Array
  ) -> TokenBatch:
    """Puts rows of a batch into the room, and leaves the others."""
    new = rows >= 0

    def one(old, came):
      return jnp.where(jnp.expand_dims(new, range(1, old.ndim)), came, old)

    return jax.tree.map(one, room, self._begin(batch, rows))


def _look(batch: TokenBatch) -> tuple[Array, Array]:
  return learning.sound(batch), measures.tokens(batch)


def _finish(room: TokenBatch, prompts: Array, prompt_mask: Array) -> TokenBatch:
  """The full room with the prompts of the step."""
  tokens = jnp.concatenate([prompts[room.prompt], room.tokens], axis=1)
  return room.replace(tokens=tokens, prompt_mask=prompt_mask[room.prompt])
