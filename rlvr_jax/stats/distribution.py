"""Next-token distributions of many tokens, of which statistics can be asked.

`Swept` never writes them out: each question is one or more sweeps over the
vocabulary. `Written` has all logits at hand, as the sampler does, and answers
by definition.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import reference, threshold
from rlvr_jax.kernels.divergence import divergence
from rlvr_jax.kernels.logits import Cut, Form, Keep
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.kernels.sums import NOTHING
from rlvr_jax.kernels.token_statistics import token_statistics
from rlvr_jax.kernels.walk import Blocks, Setting, Source
from rlvr_jax.types import Array, Moments


class Head(NamedTuple):
  """How a model gets from hidden states to logits."""

  weights: Array  # f[V, D] of the type of the hidden states
  soft_cap: float | None = None  # c of c tanh(z / c)
  layout: Layout | None = None  # of tokens and vocabulary on a mesh


@dataclasses.dataclass(frozen=True)
class Swept:
  """Distributions that are computed from hidden states as often as needed.

  Attributes:
    hidden: f[N, D].
    head: of the model.
    targets: i32[N] the sampled tokens.
    temperature: f32[N].
    rows: most tokens whose logits exist at a time.
    cut: what was left out.
  """

  hidden: Array
  head: Head
  targets: Array
  temperature: Array
  rows: int
  cut: Cut | None = None

  @property
  def vocabulary(self) -> int:
    """Its size V."""
    return self.head.weights.shape[0]

  def moments(self, *outputs: str) -> Moments:
    """Those fields of Moments, f32[N] each."""
    return token_statistics(
      self.hidden,
      self.head.weights,
      self.targets,
      temperature=self.temperature,
      soft_cap=self.head.soft_cap,
      cut=self.cut,
      outputs=outputs,
      rows=self.rows,
      layout=self.head.layout,
    )

  def constant(self) -> "Swept":
    """The same without a gradient."""
    weights = jax.lax.stop_gradient(self.head.weights)
    return dataclasses.replace(
      self,
      hidden=jax.lax.stop_gradient(self.hidden),
      head=self.head._replace(weights=weights),
    )

  def above(self, least: Array, fill: Array | float = NOTHING) -> "Swept":
    """Logits below `least` f32[N] become `fill`, f32[N] or a number.

    Raises:
      ValueError: it has been cut before.
    """
    if self.cut is not None:
      raise ValueError("a cut distribution was cut again; cut it once, higher.")
    cut = Cut(least, jnp.broadcast_to(jnp.float32(fill), least.shape))
    return dataclasses.replace(self, cut=jax.lax.stop_gradient(cut))

  def nucleus(self, keep: Keep) -> "Swept":
    """The likeliest tokens alone; which these are is constant."""
    bound = threshold.least_logit(self._source(), keep, self._setting())
    return self.above(bound[:, 0])

  def lowest(self) -> Array:
    """f32[N]: the smallest logit, constant."""
    return threshold.lowest_logit(self._source(), self._setting())[:, 0]

  def divergence(self, other: "Swept") -> Array:
    """f32[N]: KL(self || other), nats.

    Raises:
      ValueError: one bounds its logits in another way or lies elsewhere.
    """
    if self.head[1:] != other.head[1:]:
      raise ValueError(
        f"two heads with soft_cap and layout {self.head[1:]} and "
        f"{other.head[1:]}; both must be the same."
      )
    pair = self._source(), other._source()
    return divergence(*pair, self._setting())[:, 0]

  def _source(self) -> Source:
    known = jax.tree.map(lambda x: x[:, None], (1 / self.temperature, self.cut))
    return Source(self.hidden, self.head.weights, *known)

  def _setting(self) -> Setting:
    form = Form(soft_cap=self.head.soft_cap)
    return Setting(form, Blocks().at_most(self.rows), self.head.layout)


@dataclasses.dataclass(frozen=True)
class Written:
  """Distributions whose logits exist; it answers what `Swept` does.

  Attributes:
    logits: f32[N, V] divided by the temperature.
    targets: i32[N] the sampled tokens.
  """

  logits: Array
  targets: Array

  @property
  def vocabulary(self) -> int:
    """Its size V."""
    return self.logits.shape[-1]

  def moments(self, *outputs: str) -> Moments:
    """All moments, f32[N] each."""
    del outputs
    return reference.moments(self.logits, self.targets)

  def constant(self) -> "Written":
    """The same without a gradient."""
    return Written(jax.lax.stop_gradient(self.logits), self.targets)

  def above(self, least: Array, fill: Array | float = NOTHING) -> "Written":
    """Logits below `least` become `fill`, f32[N]; normalised anew."""
    least, fill = jax.lax.stop_gradient((least, jnp.float32(fill)))
    fill = jnp.broadcast_to(fill, least.shape)[:, None]
    kept = self.logits >= least[:, None]
    return Written(jnp.where(kept, self.logits, fill), self.targets)

  def nucleus(self, keep: Keep) -> "Written":
    """The likeliest tokens alone; which these are is constant."""
    fixed = jax.lax.stop_gradient(self.logits)
    return self.above(reference.least_logit(fixed, keep))

  def lowest(self) -> Array:
    """f32[N]: the smallest logit, constant."""
    return jax.lax.stop_gradient(self.logits.min(axis=-1))

  def divergence(self, other: "Written") -> Array:
    """f32[N]: KL(self || other), nats."""
    return reference.divergence(self.logits, other.logits)


Distribution = Swept | Written
