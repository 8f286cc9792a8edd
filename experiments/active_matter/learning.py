"""Learns the score of a steady state from samples, and what follows from it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.active_matter.network import ScoreNet
from rlvr_jax.analysis import active_particles, entropy_production
from rlvr_jax.analysis.active_particles import Model
from rlvr_jax.types import Array, PyTree

_FIT = entropy_production.Weights()


class Sizes(NamedTuple):
  """Of a simulation and of the training on it."""

  particles: int = 1
  dimensions: int = 1
  walkers: int = 2048  # independent simulations; a quarter is held out
  time: float = 0.002  # of one step of a simulation
  settling: int = 2500  # steps before the first sample
  between: int = 125  # steps from one sample of a walker to the next
  samples: int = 64  # of each walker
  batch: int = 512
  updates: int = 2000
  learning_rate: float = 1e-3  # at first; falls to 0 as a cosine


class Found(NamedTuple):
  """Means over held-out samples, nats per unit of time."""

  total: Array  # f[]
  system: Array  # f[], 0 for the score itself
  medium: Array  # f[]
  divergence: Array  # f[], of v; 0 for the score itself
  by_particle: Array  # f[N], parts of `total`
  dissipation: Array  # f[], the total without a score, over all samples


def found(key: Array, model: Model, sizes: Sizes) -> tuple[Found, PyTree]:
  """Simulates, learns and measures; returns the weights of the score, too."""
  simulation, training = jax.random.split(key)
  walks = simulate(simulation, model, sizes)
  held = sizes.walkers // 4
  flat = lambda z: z.reshape(-1, *z.shape[2:])
  params = train(training, flat(walks[:, held:]), model, sizes)
  rates = measure(params, flat(walks[:, :held]), model)
  # It is learned from nothing, so that nothing is held out.
  return Found(*rates, dissipation(flat(walks), model)), params


@functools.partial(jax.jit, static_argnums=2)
def simulate(key: Array, model: Model, sizes: Sizes) -> Array:
  """Samples of the steady state, f[samples, walkers, 2, N, d]."""
  shape = (sizes.walkers, 2, sizes.particles, sizes.dimensions)
  advance = jax.vmap(
    lambda z, noise: active_particles.step(z, noise, sizes.time, model)
  )

  def one(step: Array, z: Array) -> Array:
    noise = jax.random.normal(jax.random.fold_in(key, step), shape)
    return advance(z, noise)

  def sample(z: Array, first: Array) -> tuple[Array, Array]:
    z = jax.lax.fori_loop(first, first + sizes.between, one, z)
    return z, z

  z = jax.random.normal(jax.random.fold_in(key, 0), shape)
  z = jax.lax.fori_loop(1, sizes.settling, one, z)
  starts = sizes.settling + sizes.between * jnp.arange(sizes.samples)
  return jax.lax.scan(sample, z, starts)[1]


def score(params: PyTree, model: Model, z: Array) -> Array:
  """The learned score, f[2, N, d] of f[2, N, d].

  The network gives D^-1 v = D^-1 b - s: without a flow it has nothing to learn,
  and the steep forces between particles are known to it.
  """
  b, diffusion = active_particles.process(model)
  flow = nnx.merge(_graph(z.shape[-1]), params)(z)
  return b(z) / diffusion - flow


@functools.cache
def _graph(dimensions: int) -> nnx.GraphDef:
  return nnx.graphdef(nnx.eval_shape(lambda: ScoreNet(dimensions, nnx.Rngs(0))))


@functools.partial(jax.jit, static_argnums=3)
def train(key: Array, samples: Array, model: Model, sizes: Sizes) -> PyTree:
  """The weights after score matching on f[n, 2, N, d].

  The slopes of the score are estimated by random probes: exact ones are needed
  only for figures.
  """
  process = active_particles.process(model)
  falling = optax.cosine_decay_schedule(sizes.learning_rate, sizes.updates)
  adam = optax.adam(falling)
  network = ScoreNet(sizes.dimensions, nnx.Rngs(jax.random.fold_in(key, 0)))
  params = nnx.state(network)

  def loss(params: PyTree, z: Array, probe: Array) -> Array:
    terms = lambda z, probe: entropy_production.terms(
      process, functools.partial(score, params, model), z, probe
    )
    return entropy_production.loss(jax.vmap(terms)(z, probe), z[0].size, _FIT)

  def update(carry: PyTree, key: Array) -> tuple[PyTree, None]:
    params, state = carry
    rows, signs = jax.random.split(key)
    drawn = jax.random.randint(rows, sizes.batch, 0, len(samples))
    z = samples[drawn]
    probe = jax.random.rademacher(signs, z.shape, z.dtype)
    change, state = adam.update(jax.grad(loss)(params, z, probe), state)
    return (optax.apply_updates(params, change), state), None

  keys = jax.random.split(jax.random.fold_in(key, 1), sizes.updates)
  (params, _), _ = jax.lax.scan(update, (params, adam.init(params)), keys)
  return params


@jax.jit
def measure(params: PyTree, samples: Array, model: Model) -> list[Array]:
  """Means of rates under the learned score, as of `Found`.

  Args:
    params: of the score.
    samples: f[n, 2, N, d] that it was not trained on.
    model: that they come from.
  """
  process = active_particles.process(model)
  learned = functools.partial(score, params, model)

  def each(z: Array) -> list[Array]:
    rates = active_particles.by_particle(
      entropy_production.rates(process, learned, z)
    )
    divergence = entropy_production.terms(process, learned, z).divergence
    return [*(rate.sum() for rate in rates), divergence, rates.total]

  return _mean(each, samples)


@jax.jit
def dissipation(samples: Array, model: Model) -> Array:
  """The mean rate without a score, f[] of f[n, 2, N, d]."""
  process = active_particles.process(model)
  each = lambda z: entropy_production.dissipation(process, z).sum()
  return _mean(each, samples)


def _mean(function: Callable[[Array], PyTree], samples: Array) -> PyTree:
  # In chunks, for want of memory.
  each = jax.lax.map(function, samples, batch_size=4096)
  return jax.tree.map(lambda x: x.mean(axis=0), each)
