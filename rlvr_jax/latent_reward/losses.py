"""How far the rewards of the tokens are from the reward of their response.

With T tokens and the reward R of a response, the mean form compares R / T with
the mean of the tokens' rewards, the sum form R with their sum. Each loss is a
mean over the responses that have tokens.
"""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import Array


def rd(
  rewards: Array,
  mask: Array,
  returns: Array,
  target: str = "mean",
  variance_coef: float = 0.0,
) -> Array:
  """Return decomposition over all tokens, f32[].

  In the sum form, with a weight on the variance along a response, it is the
  loss of the authors' code for several agents, of the sums over these.

  Args:
    rewards: f32[N, T] of the tokens.
    mask: bool[N, T] which count.
    returns: f32[N].
    target: "mean" or "sum".
    variance_coef: weight of the variance of the rewards of a response.
  """
  mean = reduce.row_mean(rewards, mask)
  length = reduce.row_length(mask)
  loss = _squared(mean, length, returns, target)
  if variance_coef:
    squares = reduce.row_mean((rewards - mean[:, None]) ** 2, mask)
    loss += variance_coef * squares
  return reduce.masked_mean(loss, length > 0)


def rrd(
  drawn: Array,
  length: Array,
  returns: Array,
  target: str = "mean",
  unbiased: bool = False,
) -> Array:
  """Randomized return decomposition, over some tokens of each response.

  Args:
    drawn: f32[N, K] rewards of the tokens of `draw`.
    length: f32[N] tokens of each response.
    returns: f32[N].
    target: "mean" or "sum".
    unbiased: take off what the variance of the drawn ones adds, so that over
      all draws without repetition the mean is `rd`; K >= 2. With K above the
      length it adds, as the released code does.

  Returns:
    f32[].
  """
  count = drawn.shape[1]
  loss = _squared(drawn.mean(axis=1), length, returns, target)
  if unbiased:
    left = 1 - count / jnp.maximum(length, 1)
    excess = drawn.var(axis=1, ddof=1) * left / count
    loss -= excess * _scale(length, target) ** 2
  return reduce.masked_mean(loss, length > 0)


def draw(key: Array, mask: Array, count: int) -> Array:
  """Draws places of tokens, all of a row alike likely.

  Args:
    key: of the draw.
    mask: bool[N, T] tokens that may be drawn.
    count: K of each row: without repetition where a row has as many, else
      with repetition.

  Returns:
    i32[N, K]; 0 where a row has none.
  """
  once, again = jax.random.split(key)
  length = mask.sum(axis=1, keepdims=True)
  chance = jax.random.uniform(once, mask.shape)
  apart = jnp.argsort(jnp.where(mask, chance, 2), axis=1)[:, :count]
  apart = jnp.pad(apart, [(0, 0), (0, max(count - mask.shape[1], 0))])
  rank = jax.random.randint(
    again, (len(mask), count), 0, jnp.maximum(length, 1)
  )
  places = jnp.argsort(~mask, axis=1, stable=True)
  repeated = jnp.take_along_axis(places, rank, axis=1)
  return jnp.where(length < count, repeated, apart)


def _squared(mean, length, returns, target):
  apart = returns / jnp.maximum(length, 1) - mean
  return (apart * _scale(length, target)) ** 2


def _scale(length, target):
  return length if target == "sum" else jnp.ones_like(length)
