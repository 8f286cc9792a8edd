"""Entropy production of a diffusion in its steady state, from its score.

For dz = b(z) dt + sqrt(2 D) dW with a diagonal D and the score s = grad log rho
of the steady state, v = b - D s is the velocity of the probability flow. It is
0 if and only if the process looks the same run backwards, and E[v D^-1 v] is
the entropy that it produces per unit of time. All variables count as even under
time reversal.

A function takes one configuration z, an array of any shape, and `score` maps it
to an array of the same shape; a batch is the caller's vmap. Entropies are in
nats, rates in nats per unit of time.

Source: Boffi & Vanden-Eijnden, Deep learning probability flows and entropy
production rates in active matter, arXiv 2309.12991. Code:
nmboffi/active_pflows, py/launchers/few_particles_split_score.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array

Field = Callable[[Array], Array]  # from z to an array of its shape


class Process(NamedTuple):
  """dz = drift(z) dt + sqrt(2 diffusion) dW."""

  drift: Field
  diffusion: Array  # D > 0, of a shape that broadcasts to that of z


class Rates(NamedTuple):
  """Entropy produced by each entry of z, nats per unit of time.

  total = system + medium, entry by entry. In the steady state the mean of
  `system`, summed over the entries, is 0.
  """

  total: Array  # v^2 / D >= 0
  system: Array  # -v s, whose mean is that of the divergence of v
  medium: Array  # v b / D, what is handed to the surroundings


class Terms(NamedTuple):
  """What the losses are made of, each f[] for one configuration."""

  fit: Array  # |s|^2 + 2 div s; its mean is least at the score
  divergence: Array  # div v
  inner: Array  # v . s


class Weights(NamedTuple):
  """Of the parts of `loss`; the last three vanish at the score.

  The published code leaves `divergence` out of `residual` if its own weight is
  0, and `inner` likewise if both of the others are.
  """

  fit: float = 1.0
  divergence: float = 0.0  # (E div v)^2
  inner: float = 0.0  # (E v . s)^2
  residual: float = 0.0  # E (div v + v . s)^2, the Fokker-Planck equation


def slopes(field: Field, z: Array, probe: Array | None = None) -> Array:
  """The derivative of each entry of a field by the same entry of z.

  Their sum is the divergence.

  Args:
    field: to be differentiated.
    z: f[...].
    probe: f[...] independent entries of mean 0 and variance 1. One pass along
      it estimates all slopes, without bias (Hutchinson); None takes a pass for
      each entry and is exact.

  Returns:
    f[...].
  """
  z = jnp.asarray(z)
  along = lambda tangent: jax.jvp(field, (z,), (tangent,))[1] * tangent
  if probe is not None:
    return along(probe)
  units = jnp.eye(z.size, dtype=z.dtype).reshape(z.size, *z.shape)
  return jax.vmap(along)(units).sum(axis=0)


def velocity(process: Process, score: Field, z: Array) -> Array:
  """The probability flow v = b - D s, f[...] of the shape of z."""
  return process.drift(z) - process.diffusion * score(z)


def rates(process: Process, score: Field, z: Array) -> Rates:
  """The local entropy production at one configuration.

  Args:
    process: the diffusion.
    score: of its steady state.
    z: f[...].

  Returns:
    Rates, each f[...] of the shape of z.
  """
  b, s = process.drift(z), score(z)
  v = b - process.diffusion * s
  return Rates(v * v / process.diffusion, -v * s, v * b / process.diffusion)


def dissipation(process: Process, z: Array) -> Array:
  """b^2 / D + the slope of b, f[...] of the shape of z.

  Its mean over the steady state is that of `Rates.medium`, by an integration
  by parts in which the score drops out: the mean rate needs no score, the
  local one does. The drift must be continuous.
  """
  b = process.drift(z)
  return b * b / process.diffusion + slopes(process.drift, z)


def terms(
  process: Process, score: Field, z: Array, probe: Array | None = None
) -> Terms:
  """The terms of score matching.

  Args:
    process: the diffusion.
    score: to be learned.
    z: f[...] drawn from the steady state.
    probe: f[...], as of `slopes`, for the slopes of the score.

  Returns:
    Terms.
  """
  return _terms(process, score(z), slopes(score, z, probe), z, z)


def _terms(
  process: Process, s: Array, by_entry: Array, here: Array, later: Array
) -> Terms:
  v = process.drift(later) - process.diffusion * s
  divergence = slopes(process.drift, here) - process.diffusion * by_entry
  fit = s * s + 2 * by_entry
  return Terms(fit.sum(), divergence.sum(), (v * s).sum())


def dynamic_terms(
  process: Process,
  score: Field,
  step: Callable[[Array, Array], Array],
  z: Array,
  noise: Array,
  time: float,
) -> Terms:
  """The same without derivatives of the score: the dynamics are the noise.

  The score is read after a step with the noise and after one with its
  opposite; its product with the noise is the slope there, up to O(time).

  Args:
    process: the diffusion.
    score: to be learned.
    step: of z and of standard normal noise, the configuration after `time`.
    z: f[...] drawn from the steady state.
    noise: f[...] standard normal.
    time: of one step.

  Returns:
    Terms, means of the two steps.
  """

  def side(noise: Array) -> Terms:
    later = step(z, noise)
    s = score(later)
    by_entry = s * noise / jnp.sqrt(2 * time * process.diffusion)
    return _terms(process, s, by_entry, z, later)

  return jax.tree.map(lambda a, b: (a + b) / 2, side(noise), side(-noise))


def loss(terms: Terms, size: int, weights: Weights) -> Array:
  """Score matching, and how far the flow is from a stationary one.

  Args:
    terms: each f[B].
    size: entries of one configuration.
    weights: of the parts; of weight 0 none is computed.

  Returns:
    f[]: the weighted sum divided by `size`.
  """
  parts = Weights(
    lambda: terms.fit.mean(),
    lambda: terms.divergence.mean() ** 2,
    lambda: terms.inner.mean() ** 2,
    lambda: ((terms.divergence + terms.inner) ** 2).mean(),
  )
  return sum(w * part() for w, part in zip(weights, parts) if w) / size


def denoising(score: Field, z: Array, noise: Array, scale: float) -> Array:
  """Denoising score matching with the noise and its opposite, f[].

  Its mean is twice that of `Terms.fit` for the density blurred by the noise,
  so that the score found is off by O(scale^2).

  Args:
    score: to be learned.
    z: f[...] drawn from the steady state.
    noise: f[...] standard normal.
    scale: standard deviation of what is added to z.
  """

  def side(noise: Array) -> Array:
    s = score(z + scale * noise)
    return (s * s + 2 * s * noise / scale).sum()

  return side(noise) + side(-noise)
