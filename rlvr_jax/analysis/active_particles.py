"""Active Ornstein-Uhlenbeck particles that repel each other in a trap.

A configuration is f[2, N, d]: positions x and swimming directions g of N
particles in d dimensions. In a box that repeats itself after 2 W,

  dx_i = (v0 g_i + k sum_j F(x_i - x_j) - A x_i) dt + sqrt(2 eps) dW
  dg_i = -gamma g_i dt + sqrt(2 gamma) dW'

where F points away from the other and has the size softplus_beta(2 r -
distance), softplus_beta(y) = log(1 + exp(beta y)) / beta. One particle alone is
Gaussian, and its entropy production is known.

Source: Boffi & Vanden-Eijnden, arXiv 2309.12991. Code: nmboffi/active_pflows,
py/common/drifts.py. The closed forms are worked out here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.analysis.entropy_production import Process, Rates
from rlvr_jax.types import Array


class Model(NamedTuple):
  """Constants of the dynamics, in any units of length and time."""

  speed: float = 1.0  # v0 >= 0, length / time
  trap: float = 1.0  # A > 0, 1 / time
  decay: float = 1.0  # gamma > 0, 1 / time; how soon a direction is forgotten
  diffusivity: float = 0.5  # eps > 0, length^2 / time
  repulsion: float = 0.0  # k >= 0, 1 / time
  radius: float = 1.0  # r, length
  sharpness: float = 7.5  # beta > 0, 1 / length
  half_width: float = 50.0  # W, length


def process(model: Model) -> Process:
  """The diffusion of these particles."""
  diffusion = jnp.array([model.diffusivity, model.decay])[:, None, None]
  return Process(lambda z: drift(z, model), diffusion)


def drift(z: Array, model: Model) -> Array:
  """Mean of dz / dt, f[2, N, d] of f[2, N, d]."""
  x, g = z
  pushed = model.repulsion * repulsion(x, model)
  return jnp.stack(
    [model.speed * g + pushed - model.trap * x, -model.decay * g]
  )


def repulsion(x: Array, model: Model) -> Array:
  """Sum of F over the other particles, f[N, d] of positions f[N, d]."""
  apart = x[:, None] - x[None]
  apart -= 2 * model.half_width * jnp.round(apart / (2 * model.half_width))
  square = (apart**2).sum(axis=-1)
  # At one place are a particle and itself, and by chance two: there the force
  # has no direction and the root no derivative.
  together = square == 0
  distance = jnp.sqrt(jnp.where(together, 1.0, square))
  overlap = model.sharpness * (2 * model.radius - distance)
  size = jax.nn.softplus(overlap) / model.sharpness
  return (jnp.where(together, 0.0, size / distance)[..., None] * apart).sum(1)


def step(z: Array, noise: Array, time: float, model: Model) -> Array:
  """One step in time: Euler-Maruyama for x, exact for g.

  Args:
    z: f[2, N, d].
    noise: f[2, N, d] standard normal.
    time: of the step.
    model: constants.

  Returns:
    f[2, N, d], x in [-W, W).
  """
  x = z[0] + time * drift(z, model)[0]
  x += jnp.sqrt(2 * model.diffusivity * time) * noise[0]
  x = (x + model.half_width) % (2 * model.half_width) - model.half_width
  kept = jnp.exp(-model.decay * time)
  return jnp.stack([x, kept * z[1] + jnp.sqrt(1 - kept**2) * noise[1]])


def by_particle(rates: Rates) -> Rates:
  """Sums the rates of f[..., 2, N, d] for each particle, f[..., N]."""
  return jax.tree.map(lambda x: x.sum(axis=(-3, -1)), rates)


def covariance(model: Model) -> Array:
  """Of (x, g) of a particle alone, in each dimension: f[2, 2]."""
  both = model.trap + model.decay
  xx = (model.diffusivity + model.speed**2 / both) / model.trap
  xg = model.speed / both
  return jnp.array([[xx, xg], [xg, 1.0]])


def score(z: Array, model: Model) -> Array:
  """The score of particles that do not repel, f[2, N, d] of f[2, N, d]."""
  return -jnp.einsum("ab,bnd->and", jnp.linalg.inv(covariance(model)), z)


def rate(model: Model) -> Array:
  """Entropy production of a particle alone, f[] nats per time and dimension.

  v0^2 gamma / (eps (A + gamma)).
  """
  both = model.trap + model.decay
  return jnp.square(model.speed) * model.decay / (model.diffusivity * both)
