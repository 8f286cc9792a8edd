"""The gradient of a minibatch loss, whole or in slices of rows.

The loss sees the statistics of the whole minibatch even when the model must
run in slices: the statistics are collected slice by slice without gradient,
the loss is differentiated by them, and each slice is run again to pull its
rows of that gradient back. So a batch-level statistic inside a method is exact
for every number of slices, at the price of one more forward pass.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.models import siblings
from rlvr_jax.objective import LossFn, Metrics
from rlvr_jax.training import ragged
from rlvr_jax.training.pieces import WHOLE, Pieces
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch

Output = tuple[tuple[Array, tuple[PyTree, Metrics]], PyTree]


def score(
  needs: tuple[Need, ...],
  params: Mapping[str, PyTree],
  batch: TokenBatch,
  *,
  model: stats.Model,
  pieces: Pieces = WHOLE,
) -> dict[str, Array]:
  """`stats.score`, one slice of rows after the other; no gradient.

  With several `widths`, see `ragged`, statistics are 0 behind the last counted
  token of a row.
  """
  length = batch.mask.shape[1]
  batch = batch.replace(metrics={})

  def one(rows, _=None):
    run = lambda model: stats.score(
      needs, params, rows, model=model, chunk=pieces.chunk
    )
    found = siblings.read_once(run, model, rows, pieces.siblings)
    return ragged.widened(found, length)

  if pieces.slices == 1:
    return one(batch)
  place = _places(batch, pieces)
  each = lambda rows: ragged.at_width(one, rows, (), pieces.widths)
  found = pieces.join(jax.lax.map(each, pieces.cut(_taken(batch, place))))
  return _taken(found, None if place is None else jnp.argsort(place))


def loss_and_gradient(
  loss_fn: LossFn,
  needs: tuple[Need, ...],
  params: Mapping[str, PyTree],
  batch: TokenBatch,
  method_state: PyTree,
  clock: Clock,
  *,
  model: stats.Model,
  pieces: Pieces = WHOLE,
  by: str = "policy",
) -> Output:
  """The loss and its gradient by one set of parameters.

  Args:
    loss_fn: from `objective.loss`.
    needs: update-time statistics the loss reads.
    params: by name.
    batch: the minibatch.
    method_state: of the chain.
    clock: of this update.
    model: makes hidden states and logits.
    pieces: that the model runs on at a time.
    by: name of the parameters that the gradient is taken by.

  Returns:
    ((loss, (method state, metrics)), gradient in float32).
  """
  batch = batch.replace(metrics={})
  count = pieces.siblings

  def statistics(model, moved, rows):
    sets = {**params, by: moved}
    return stats.score(needs, sets, rows, model=model, chunk=pieces.chunk)

  def finish(found):
    return loss_fn(found, batch, method_state, clock)

  def at_once(model):
    run = lambda moved: finish(statistics(model, moved, batch))
    return jax.value_and_grad(run, has_aux=True)(params[by])

  if pieces.slices == 1:
    output, found = siblings.read_once(at_once, model, batch, count)
    return output, jax.tree.map(lambda x: x.astype(jnp.float32), found)

  found = score(needs, params, batch, model=model, pieces=pieces)
  output, pulled = jax.value_and_grad(finish, has_aux=True)(found)

  def pull(rows, cotangent):
    def back(model):
      _, back = jax.vjp(lambda p: statistics(model, p, rows), params[by])
      return back(cotangent)[0]

    return siblings.read_once(back, model, rows, count)

  def add(total, piece):
    part = ragged.at_width(pull, *piece, pieces.widths)
    return jax.tree.map(jnp.add, total, part), None

  # float32 also for parameters kept in bfloat16: a sum of many small parts.
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape), params[by])
  dealt = pieces.cut(_taken((batch, pulled), _places(batch, pieces)))
  gradient, _ = jax.lax.scan(add, zeros, dealt)
  return output, gradient


def _places(batch: TokenBatch, pieces: Pieces) -> Array | None:
  """The order of rows; None for the one they have."""
  if pieces.widths == 1:
    return None
  return ragged.order(batch.mask, pieces.slices, pieces.siblings)


def _taken(tree: PyTree, place: Array | None) -> PyTree:
  return tree if place is None else jax.tree.map(lambda x: x[place], tree)
