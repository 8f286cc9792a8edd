"""The small network from the features of a token to what it earned."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax.types import Array, PyTree

Weights = tuple[tuple[Array, Array], ...]  # f32[in, out], f32[out] by layer


def rewards(weights: Weights, latent: Array) -> Array:
  """f32[...]: what features f32[..., D] are worth; ReLU between layers."""
  x = latent
  for number, (matrix, shift) in enumerate(weights):
    x = jax.nn.relu(x) if number else x
    x = jnp.matmul(x, matrix, precision="highest") + shift
  return x[..., 0]


class Learnt(NamedTuple):
  """What is learnt; a few hundred kilobytes, whole on every device."""

  weights: Weights
  optimizer: PyTree


class Decoder(NamedTuple):
  """A network and how it learns.

  Attributes:
    inputs: features per token.
    width: units of a hidden layer.
    layers: matrices; 1 is linear.
    rate: learning rate of Adam.
    weight_decay: share of the weights added to their gradient.
  """

  inputs: int
  width: int
  layers: int
  rate: float
  weight_decay: float

  def init(self) -> Learnt:
    """The state before the first step, in which every token earns 0."""
    sizes = [self.inputs, *[self.width] * (self.layers - 1)]
    keys = jax.random.split(jax.random.key(0), self.layers)
    hidden = [_dense(*x) for x in zip(keys, sizes, sizes[1:])]
    out = jnp.zeros((sizes[-1], 1)), jnp.zeros(1)
    weights = (*hidden, jax.tree.map(lambda x: x.astype(jnp.float32), out))
    return Learnt(weights, self._adam().init(weights))

  def learn(
    self,
    learnt: Learnt,
    loss: Callable[[Weights, Array], Array],
    steps: int,
  ) -> tuple[Learnt, Array]:
    """Steps of Adam.

    Args:
      learnt: of `init` or `learn`.
      loss: (weights, number of the step i32[]) to f32[].
      steps: how many.

    Returns:
      What is learnt, and the losses f32[steps] before each step.
    """
    adam = self._adam()

    def step(learnt, number):
      value, gradient = jax.value_and_grad(loss)(learnt.weights, number)
      change, optimizer = adam.update(
        gradient, learnt.optimizer, learnt.weights
      )
      moved = Learnt(optax.apply_updates(learnt.weights, change), optimizer)
      return jax.tree.map(lambda x, y: x.astype(y.dtype), moved, learnt), value

    return jax.lax.scan(step, learnt, jnp.arange(steps))

  def _adam(self):
    # Decayed before Adam, as in the released code, not beside it.
    decay = optax.add_decayed_weights(self.weight_decay)
    return optax.chain(decay, optax.adam(self.rate))


def _dense(key: Array, inputs: int, outputs: int) -> tuple[Array, Array]:
  """A layer whose weights are uniform up to 1 / sqrt(inputs)."""
  bound = inputs**-0.5
  draw = lambda key, shape: jax.random.uniform(
    key, shape, jnp.float32, -bound, bound
  )
  first, second = jax.random.split(key)
  return draw(first, (inputs, outputs)), draw(second, (outputs,))
