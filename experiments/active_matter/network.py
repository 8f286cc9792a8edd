"""A score of active particles: the same function of each and of the others."""

import jax.numpy as jnp
from flax import nnx

from rlvr_jax.types import Array


class ScoreNet(nnx.Module):
  """Two hidden layers; the others enter the first as a sum over them.

  Particles that change places change their scores with them, and one set of
  weights is for any number of particles. It does not know that a box repeats
  itself: the trap must keep the particles from its walls.

  Args:
    dimensions: d.
    rngs: of the weights.
    width: of the hidden layers.
  """

  def __init__(self, dimensions: int, rngs: nnx.Rngs, width: int = 64):
    self.own = nnx.Linear(2 * dimensions, width, rngs=rngs)
    self.other = nnx.Linear(2 * dimensions, width, rngs=rngs)
    self.others = nnx.Linear(width, width, use_bias=False, rngs=rngs)
    self.hidden = nnx.Linear(width, width, rngs=rngs)
    self.out = nnx.Linear(width, 2 * dimensions, rngs=rngs)

  def __call__(self, z: Array) -> Array:
    """Maps f[2, N, d] to f[2, N, d]."""
    _, particles, dimensions = z.shape
    each = jnp.moveaxis(z, 0, 1).reshape(particles, -1)
    first = self.own(each)
    if particles > 1:
      first += self._others(each)
    score = self.out(jnp.tanh(self.hidden(jnp.tanh(first))))
    return jnp.moveaxis(score.reshape(particles, 2, dimensions), 1, 0)

  def _others(self, each: Array) -> Array:
    # A particle meets itself at distance 0, too: that adds the same to all.
    seen = jnp.tanh(self.other(each[:, None] - each[None]))
    return self.others(seen.sum(axis=1))
