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
from rlvr_jax.objective import LossFn, Metrics
from rlvr_jax.training import ragged
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch

Output = tuple[tuple[Array, tuple[PyTree, Metrics]], PyTree]


def cut(tree: PyTree, slices: int) -> PyTree:
  """[B, ...] leaves to [slices, B / slices, ...].

  Rows are dealt like cards, so every device that holds rows holds some of
  every slice.
  """
  deal = lambda x: x.reshape(-1, slices, *x.shape[1:]).swapaxes(0, 1)
  return jax.tree.map(deal, tree)


def join(tree: PyTree) -> PyTree:
  """The inverse of `cut`."""
  back = lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:])
  return jax.tree.map(back, tree)


def score(
  needs: tuple[Need, ...],
  params: Mapping[str, PyTree],
  batch: TokenBatch,
  *,
  model: stats.Model,
  slices: int = 1,
  chunk: int = 4096,
  widths: int = 1,
) -> dict[str, Array]:
  """`stats.score`, one slice of rows after the other; no gradient.

  With several `widths`, see `ragged`, statistics are 0 behind the last counted
  token of a row.
  """
  length = batch.mask.shape[1]
  batch = batch.replace(metrics={})

  def one(rows, _=None):
    found = stats.score(needs, params, rows, model=model, chunk=chunk)
    return ragged.widened(found, length)

  if slices == 1:
    return one(batch)
  place = _places(batch, slices, widths)
  each = lambda rows: ragged.at_width(one, rows, (), widths)
  found = join(jax.lax.map(each, cut(_taken(batch, place), slices)))
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
  slices: int = 1,
  chunk: int = 4096,
  by: str = "policy",
  widths: int = 1,
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
    slices: row slices the model runs in; divides B.
    chunk: tokens whose logits exist at the same time.
    by: name of the parameters that the gradient is taken by.
    widths: that slices may run at, see `ragged`.

  Returns:
    ((loss, (method state, metrics)), gradient in float32).
  """
  batch = batch.replace(metrics={})
  sized = dict(model=model, chunk=chunk)

  def statistics(moved, rows):
    return stats.score(needs, {**params, by: moved}, rows, **sized)

  def finish(found):
    return loss_fn(found, batch, method_state, clock)

  if slices == 1:
    run = lambda moved: finish(statistics(moved, batch))
    output, gradient = jax.value_and_grad(run, has_aux=True)(params[by])
    return output, jax.tree.map(lambda x: x.astype(jnp.float32), gradient)

  found = score(needs, params, batch, slices=slices, widths=widths, **sized)
  output, pulled = jax.value_and_grad(finish, has_aux=True)(found)

  def pull(rows, cotangent):
    _, back = jax.vjp(lambda p: statistics(p, rows), params[by])
    return back(cotangent)[0]

  def add(total, piece):
    part = ragged.at_width(pull, *piece, widths)
    return jax.tree.map(jnp.add, total, part), None

  # float32 also for parameters kept in bfloat16: a sum of many small parts.
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape), params[by])
  place = _places(batch, slices, widths)
  pieces = cut(_taken((batch, pulled), place), slices)
  gradient, _ = jax.lax.scan(add, zeros, pieces)
  return output, gradient


def _places(batch: TokenBatch, slices: int, widths: int) -> Array | None:
  """The order of rows; None for the one they have."""
  return None if widths == 1 else ragged.order(batch.mask, slices)


def _taken(tree: PyTree, place: Array | None) -> PyTree:
  return tree if place is None else jax.tree.map(lambda x: x[place], tree)
