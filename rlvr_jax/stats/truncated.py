"""The statistics of distributions that lose their unlikely tokens.

What is left is normalised anew; what is left out is constant for the gradient.
Tokens as likely as the last one that stays do stay.
"""

import dataclasses
import math

import jax.numpy as jnp

from rlvr_jax.kernels.logits import Keep
from rlvr_jax.stats.distribution import Distribution
from rlvr_jax.stats.named import FromDistributions
from rlvr_jax.types import Array

REMOVED = -1e4  # logit of a token that a proxy leaves out


@dataclasses.dataclass(frozen=True)
class NucleusEntropy(FromDistributions):
  """Entropy of the next-token distribution cut to its nucleus, nats.

  0 where the nucleus is empty but for the likeliest token, which stays.

  Attributes:
    top_p: mass of the nucleus, in (0, 1].
    top_k: most tokens it may hold.
    nucleus: "inclusive" if the token that crosses top_p belongs to it,
      "exclusive" if not.
  """

  top_p: float = 0.8
  top_k: int = 10_000
  nucleus: str = "exclusive"

  def from_distributions(self, *distributions: Distribution) -> Array:
    mass = self.top_p if self.top_p < 1 else math.inf
    keep = Keep(mass, self.top_k, self.nucleus == "inclusive")
    return distributions[0].nucleus(keep).moments("entropy").entropy


@dataclasses.dataclass(frozen=True)
class ClampedEntropy(FromDistributions):
  """Entropy of the distribution without its least likely tokens, nats.

  Attributes:
    share: of the vocabulary that is left out, in [0, 1), rounded down.
  """

  share: float

  def from_distributions(self, *distributions: Distribution) -> Array:
    (p,) = distributions
    kept = p.vocabulary - math.floor(self.share * p.vocabulary)
    return p.nucleus(Keep(count=kept)).moments("entropy").entropy


@dataclasses.dataclass(frozen=True)
class ProxyLogp(FromDistributions):
  """Log-prob of the sampled token once improbable tokens are removed, nats.

  Constant for the gradient; about -1e4 for a removed token, and all tokens are
  equally likely if all are removed.

  Attributes:
    min_p: least probability kept, in (0, 1].
    filter: whether min_p is "relative" to the largest, or "fixed".
    soft: removed tokens get the least logit instead of none at all.
  """

  min_p: float = 0.02
  filter: str = "relative"
  soft: bool = False

  def from_distributions(self, *distributions: Distribution) -> Array:
    return self.of(distributions[0]).moments("logp").logp

  def of(self, p: Distribution) -> Distribution:
    """The proxy itself."""
    p = p.constant()
    found = p.moments("log_z", "max_prob")
    bound = found.log_z + math.log(self.min_p)
    if self.filter == "relative":
      # At most the largest logit, also after rounding.
      top = found.log_z + jnp.log(found.max_prob)
      bound = top + math.log(self.min_p) - 1e-6 * (1 + jnp.abs(top))
    return p.above(bound, p.lowest() if self.soft else REMOVED)


@dataclasses.dataclass(frozen=True)
class ProxyKL(FromDistributions):
  """KL(proxy || policy) over the full vocabulary, nats.

  Of two parameter sets the first makes the proxy. The gradient flows through
  the policy alone.

  Attributes:
    proxy: how it is made.
  """

  proxy: ProxyLogp = ProxyLogp()

  def from_distributions(self, *distributions: Distribution) -> Array:
    proxy = self.proxy.of(distributions[0])
    return proxy.divergence(distributions[-1])
