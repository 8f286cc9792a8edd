"""What is known of each token: the latent factors that a reward is made of."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.latent_reward import marks
from rlvr_jax.stats import Entropy, Features, Logp
from rlvr_jax.types import Array, Context, Need, TokenBatch

DEFAULT = (
  "logp,entropy,entropy_change,digit,operator,step,answer,position,repeat,"
  "format,arithmetic"
)
NAMES = (*DEFAULT.split(","), "ref_gap", "raw")
GRAM = 3  # tokens of what counts as a repetition

_ENTROPY = Need(Entropy(), when="rollout")
_REF = Need(Logp(), params=("ref",), when="rollout")


class Latent(NamedTuple):
  """Chosen features of tokens, each one number but for "raw".

    logp            log-prob of the token at sampling, nats
    entropy         of the distribution it was drawn from, nats
    entropy_change  the same less that of the token before, 0 at the first
    ref_gap         log-prob less that under the reference policy
    digit, operator, step, answer, format, arithmetic   see `Mark`
    position        share of the response that is written with it, in (0, 1]
    repeat          1 if it ends three tokens that the response has had before
    raw             the policy's state, projected to `size` numbers, and as
                    many random ones that stand for the token

  Attributes:
    names: of NAMES, without repetition.
    step: text that ends a step.
    tag: text that ends the thinking.
    size: of "raw".
  """

  names: tuple[str, ...]
  step: str
  tag: str
  size: int

  @property
  def needs(self) -> tuple[Need, ...]:
    """What has to be known of the rollout."""
    known = {
      "entropy": _ENTROPY,
      "entropy_change": _ENTROPY,
      "ref_gap": _REF,
      "raw": Need(Features(self.size), when="rollout"),
    }
    known |= {kind: self.mark(kind) for kind in marks.KINDS}
    found = [known[name] for name in self.names if name in known]
    return tuple(dict.fromkeys(found))

  @property
  def width(self) -> int:
    """Numbers per token."""
    raw = "raw" in self.names
    return len(self.names) + raw * (2 * self.size - 1)

  def mark(self, kind: str) -> Need:
    """The note of one kind."""
    text = {"step": self.step, "format": self.tag}.get(kind, "")
    return Need(marks.Mark(kind, text), when="rollout")

  def of(self, batch: TokenBatch, context: Context) -> Array:
    """f32[B, T, width]: of a rollout; 0 where nothing counts."""
    columns = [self._column(name, batch, context) for name in self.names]
    columns = [x[..., None] if x.ndim == 2 else x for x in columns]
    found = jnp.concatenate([x.astype(jnp.float32) for x in columns], axis=-1)
    found = jnp.where(batch.mask[..., None], found, 0)
    return jax.lax.stop_gradient(found)

  def _column(self, name, batch, context):
    if name in marks.KINDS:
      return context.stat(self.mark(name))
    if name == "logp":
      return batch.old_logp
    if name == "entropy":
      return context.stat(_ENTROPY)
    if name == "entropy_change":
      return _change(context.stat(_ENTROPY), batch.mask)
    if name == "ref_gap":
      return batch.old_logp - context.stat(_REF)
    if name == "position":
      length = jnp.maximum(reduce.row_length(batch.mask), 1)
      return jnp.cumsum(batch.mask, axis=1) / length[:, None]
    if name == "repeat":
      return repeated(batch.response, batch.mask, GRAM)
    known = context.stat(Need(Features(self.size), when="rollout"))
    return jnp.concatenate([known, _names(batch.response, self.size)], axis=-1)


def _change(x: Array, mask: Array) -> Array:
  """f32[B, T]: x less the one before, 0 where none counts before."""
  before = lambda y: jnp.pad(y, [(0, 0), (1, 0)])[:, :-1]
  return jnp.where(mask & before(mask), x - before(x), 0)


def _names(tokens: Array, size: int) -> Array:
  """f32[B, T, size]: a random vector of each token, the same in every run."""
  base = jax.random.key(0)
  draw = lambda i: jax.random.normal(jax.random.fold_in(base, i), (size,))
  return jax.vmap(jax.vmap(draw))(tokens)


def repeated(tokens: Array, mask: Array, gram: int) -> Array:
  """bool[B, T]: whether a token ends a gram that its row has had before.

  Args:
    tokens: i32[B, T].
    mask: bool[B, T]; a gram counts if all its tokens do.
    gram: tokens of one.
  """
  rows, length = tokens.shape
  back = lambda x, by: jnp.pad(x, [(0, 0), (by, 0)])[:, :length]
  whole = jnp.stack([back(mask, by) for by in range(gram)]).all(axis=0)
  grams = [jnp.where(whole, back(tokens, by), -1) for by in range(gram)]
  # Sorted, equal grams stand side by side, the first of them in front.
  order = jnp.lexsort(grams, axis=-1)
  alike = jnp.ones((rows, length), bool)
  for part in grams:
    part = jnp.take_along_axis(part, order, axis=1)
    alike &= part == back(part, 1)
  alike &= jnp.arange(length) > 0
  places = jnp.arange(rows)[:, None], order
  return jnp.zeros((rows, length), bool).at[places].set(alike) & whole
