"""The statistics of whole distributions, and of hidden states."""

import dataclasses

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import reference
from rlvr_jax.stats.distribution import Distribution, Written
from rlvr_jax.types import CLEAN, LOGP_KEY, Array, Moments, Need


class FromMoments:
  """Base of a statistic that the moments already contain."""

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """`from_moments` of the moments of these logits."""
    return self.from_moments(reference.moments(logits[0], targets))


class FromDistributions:
  """Base of a statistic that asks more of the distributions than moments.

  Its one method is `from_distributions(*distributions) -> f32[N]`, with one
  `Distribution` per parameter set.
  """

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """`from_distributions` of these logits."""
    return self.from_distributions(*(Written(z, targets) for z in logits))

  def from_moments(self, moments: Moments) -> None:
    """They do not suffice."""
    del moments


@dataclasses.dataclass(frozen=True)
class Logp(FromMoments):
  """Log-probability of the sampled token, nats."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.logp


@dataclasses.dataclass(frozen=True)
class Entropy(FromMoments):
  """Entropy of the next-token distribution over the full vocabulary, nats."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.entropy


@dataclasses.dataclass(frozen=True)
class CovProbLogp(FromMoments):
  """N = Cov_p(p, log p) = sum_i p_i S_i with S_i = p_i (log p_i + H)."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.cov_p_logp


@dataclasses.dataclass(frozen=True)
class Energy(FromMoments):
  """Squared norm of the gradient of log pi(y) by the logits.

  (1 - pi)^2 and the squared probabilities of all other tokens, without
  cancellation where the policy is sure.
  """

  def from_moments(self, moments: Moments) -> Array:
    return moments.energy


@dataclasses.dataclass(frozen=True)
class FullKL(FromDistributions):
  """KL(first || second) of two next-token distributions, nats."""

  def from_distributions(self, *pair: Distribution) -> Array:
    first, second = pair
    return first.divergence(second)


@dataclasses.dataclass(frozen=True)
class Features:
  """A fixed random projection of the last hidden state; f32[B, T, size].

  The projection keeps distances up to a relative error of about
  1 / sqrt(size); states are scaled to unit root mean square first.

  Attributes:
    size: numbers per token.
    seed: of the projection.
  """

  size: int = 64
  seed: int = 0

  def from_hidden(self, hidden: Array) -> Array:
    x = jax.lax.stop_gradient(hidden).astype(jnp.float32)
    x *= jax.lax.rsqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    key = jax.random.key(self.seed)
    projection = jax.random.normal(key, (x.shape[-1], self.size))
    # Rows of unit root mean square again, on average.
    return x @ projection / jnp.sqrt(x.shape[-1])


LOGP = Need(Logp())
assert LOGP.key == LOGP_KEY and LOGP.view == CLEAN
