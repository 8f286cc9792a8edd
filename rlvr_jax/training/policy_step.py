"""One plain policy-gradient step of a model, and what it does to entropy.

Neither Adam nor a method stands between the gradient and the weights, so the
change at each position is what theorems speak of, but for the weights that
positions share. `tabulated` takes the same step where they share none.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np

from rlvr_jax import objective, reduce, stats
from rlvr_jax.analysis import token_change
from rlvr_jax.training import gradient
from rlvr_jax.training.pieces import Pieces
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch

ENTROPY = Need(stats.Entropy())
MEAN_DISCRIMINATOR = Need(stats.CovProbLogp())
_CLOCK = Clock(0, 0, None)

Measure = Callable[[PyTree, TokenBatch, Array | float], token_change.Step]


def measure(
  model: stats.Model, *, slices: int = 1, chunk: int = 4096
) -> Measure:
  """Returns what takes the step and measures it; compiled at its first call.

  The loss is the mean over the counted tokens of -A log pi, the step that of
  gradient descent. What comes of it is far above rounding in float32 only for
  a learning rate that is large enough; one of half the size tells.

  Args:
    model: makes hidden states and logits.
    slices: row slices the model runs in; divides the rows.
    chunk: tokens whose logits exist at the same time.

  Returns:
    (parameters, batch with its advantages, learning rate) to a Step over the
    response positions [B, T]. The parameters stay as they are.
  """
  sized = dict(model=model, pieces=Pieces(slices, chunk))

  @jax.jit
  def look(params, batch):
    wanted = (stats.LOGP, ENTROPY, MEAN_DISCRIMINATOR)
    return gradient.score(wanted, {"policy": params}, batch, **sized)

  @jax.jit
  def stepped(params, batch, learning_rate):
    policy = {"policy": params}
    _, grads = gradient.loss_and_gradient(
      _loss, (stats.LOGP,), policy, batch, (), _CLOCK, **sized
    )
    move = lambda x, g: (x - learning_rate * g).astype(x.dtype)
    return jax.tree.map(move, params, grads)

  return functools.partial(_measured, look, stepped)


def _loss(found, batch, state, clock):
  """An `objective.LossFn`: the mean over counted tokens of -A log pi."""
  del clock
  logp = found[stats.LOGP.key]
  return reduce.masked_mean(-batch.advantages * logp, batch.mask), (state, {})


def _measured(look, stepped, params, batch, learning_rate) -> token_change.Step:
  batch = objective.clean(batch).replace(stats={}, notes={}, metrics={})
  before = look(params, batch)
  after = look(stepped(params, batch, learning_rate), batch)
  mask = np.asarray(batch.mask)
  exact = lambda x: np.where(mask, np.asarray(x, np.float64), 0.0)
  return token_change.Step(
    exact(before[stats.LOGP.key]),
    exact(before[ENTROPY.key]),
    exact(before[MEAN_DISCRIMINATOR.key]),
    exact(batch.advantages),
    mask,
    exact(after[ENTROPY.key]) - exact(before[ENTROPY.key]),
    float(learning_rate) / max(int(mask.sum()), 1),
  )


def tabulated(
  model: stats.Model,
  params: PyTree,
  batch: TokenBatch,
  learning_rate: float,
) -> token_change.Step:
  """Takes the step on a table that has the model's logits for every prefix.

  Positions after the same tokens are one state. All logits [B, T, V] exist at
  a time, so this is for small vocabularies.

  Args:
    model: makes hidden states and logits.
    params: of the model.
    batch: with its advantages.
    learning_rate: of the table.
  """
  batch = objective.clean(batch)
  logits = model.logits(params, model.hidden(params, batch))
  logits = np.asarray(logits / batch.score_temperature[:, None, None])
  states, first = _prefixes(batch)
  return token_change.tabular(
    logits.reshape(-1, logits.shape[-1])[first],
    states,
    np.asarray(batch.response),
    np.asarray(batch.advantages),
    np.asarray(batch.mask),
    learning_rate,
  )


def _prefixes(batch: TokenBatch) -> tuple[np.ndarray, np.ndarray]:
  """The tokens before each position, as int[B, T] numbers from 0.

  And int[S], where each of them is met first, counted through [B, T].
  """
  rows, length = batch.mask.shape
  tokens, width = np.asarray(batch.tokens), batch.prompt_mask.shape[1]
  seen = np.ones_like(tokens, bool)
  seen[:, :width] = batch.prompt_mask
  before = np.arange(width + length) < width + np.arange(length)[:, None]
  prefix = np.where(before & seen[:, None], tokens[:, None], -1)
  _, first, states = np.unique(
    prefix.reshape(rows * length, -1),
    axis=0,
    return_index=True,
    return_inverse=True,
  )
  return states.reshape(rows, length), first
