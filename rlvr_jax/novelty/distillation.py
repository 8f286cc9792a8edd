"""Random network distillation: a state is new where it cannot be predicted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import reduce
from rlvr_jax.types import Array, PyTree

TARGET, PREDICTOR = 0, 1  # what the random weights are folded with


def error(predicted: Array, target: Array, squared: bool = False) -> Array:
  """Distance of two vectors, f32[...] of f32[..., K]; gradient 0 at 0."""
  square = ((predicted - target) ** 2).sum(axis=-1)
  if squared:
    return square
  apart = square > 0
  return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)


def noveld(following: Array, before: Array, scale: float) -> Array:
  """max(0, error of the state after a step - scale x error before it)."""
  return jnp.maximum(following - scale * before, 0)


def combined(
  episodic: Array, overall: Array, how: str, coef: float = 1.0
) -> Array:
  """The product of two bonuses, or episodic + coef overall.

  Args:
    episodic: f32[...].
    overall: f32[...], the global bonus.
    how: "multiply", which does not read coef, or "add".
    coef: of the global bonus.
  """
  return episodic * overall if how == "multiply" else episodic + coef * overall


class Distilled(NamedTuple):
  """What is learnt."""

  predictor: PyTree
  optimizer: PyTree


class Distiller(NamedTuple):
  """A frozen random network and one that learns to predict it.

  Both have one hidden layer of `size` units and as many outputs.

  Attributes:
    size: D, numbers per state.
    rate: learning rate of Adam.
    squared: whether errors are squared distances.
  """

  size: int
  rate: float
  squared: bool = False

  def init(self) -> Distilled:
    """The state before the first step."""
    predictor = self._random(PREDICTOR)
    return Distilled(predictor, optax.adam(self.rate).init(predictor))

  def error(self, state: Distilled, x: Array) -> Array:
    """f32[...]: how badly states f32[..., D] are predicted."""
    return self._error(state.predictor, x)

  def learn(self, state: Distilled, x: Array, mask: Array) -> Distilled:
    """One step of Adam on the mean error of the counted states.

    Args:
      state: of `init` or `learn`.
      x: f32[..., D].
      mask: bool[...]; where none counts nothing is learnt.
    """
    loss = lambda p: reduce.masked_mean(self._error(p, x), mask)
    gradient = jax.grad(loss)(state.predictor)
    adam = optax.adam(self.rate)
    change, optimizer = adam.update(gradient, state.optimizer)
    learnt = Distilled(optax.apply_updates(state.predictor, change), optimizer)
    return jax.tree.map(
      lambda new, old: jnp.where(mask.any(), new, old).astype(old.dtype),
      learnt,
      state,
    )

  def _error(self, predictor, x):
    target = _network(self._random(TARGET), x)
    return error(_network(predictor, x), target, self.squared)

  def _random(self, which):
    """Weights that keep the size of their inputs."""
    key = jax.random.fold_in(jax.random.key(0), which)
    shape = (2, self.size, self.size)
    draw = jax.random.normal(key, shape, jnp.float32)
    scale = jnp.sqrt(2 / self.size)
    zero = jnp.zeros(self.size, jnp.float32)
    return {"hidden": (scale * draw[0], zero), "out": (scale * draw[1], zero)}


def _network(weights: PyTree, x: Array) -> Array:
  matrix, shift = weights["hidden"]
  inner = jax.nn.relu(x @ matrix + shift)
  matrix, shift = weights["out"]
  return inner @ matrix + shift
