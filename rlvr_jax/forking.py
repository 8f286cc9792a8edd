"""Forks of a rollout as branches: each root decides for itself when it ends.

Whether a row forks between two segments hangs on the row up to there alone. So
it can be asked when the row has ended and all is recorded, and no row waits for
another. Without tools segments are lines.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import branching, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.types import Array, Context, Draw, Need, Parent

MEASURED = ("before", "behind")
TOKENS = 20  # at the beginning of a segment that are looked at


@dataclasses.dataclass(frozen=True)
class TopEntropy:
  """What the likeliest tokens add to the entropy, nats.

  Attributes:
    top: tokens.
  """

  top: int = 10

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """f32[N], whatever the targets."""
    del targets
    best, _ = jax.lax.top_k(logits[0], min(self.top, logits[0].shape[-1]))
    rest = jax.nn.logsumexp(logits[0], axis=-1, keepdims=True)
    return branching.top_entropy(best - rest)

  def from_moments(self, moments: object) -> None:
    """They do not suffice."""
    del moments


# What the sampler has to record, by the mode of `segment_entropy`.
NEEDS = {
  "paper_fixed": Need(Entropy(), when="rollout"),
  "code": Need(TopEntropy(), when="rollout"),
}


class Segments(NamedTuple):
  """The segments of a response, by the token that each begins with."""

  begins: Array  # bool[T]
  entropy: Array  # f32[T] `segment_entropy` of the one that begins, or would

  def rise(self, measured: str = "before") -> Array:
    """f32[T]: what a fork at the beginning of a segment depends on.

    Args:
      measured: whether the entropy of the segment "before" that token is
        compared with the first one's, or of that which begins, "behind" it.
    """
    entropy = self.entropy
    if measured == "before":
      place = jnp.arange(len(self.begins))
      begun = jax.lax.cummax(jnp.where(self.begins, place, 0))
      entropy = entropy[begun[jnp.maximum(place - 1, 0)]]
    return entropy - self.entropy[0]

  @property
  def forks(self) -> Array:
    """bool[T]: where a row can fork: a segment begins, and it is not the first.

    Whoever forks there keeps as many tokens as its place says.
    """
    return self.begins.at[0].set(False)

  @property
  def mean(self) -> Array:
    """f32[]: mean entropy of all segments."""
    total = jnp.where(self.begins, self.entropy, 0).sum()
    return total / jnp.maximum(self.begins.sum(), 1)


def segments(parent: Parent, mode: str) -> Segments:
  """The lines of a response that has ended.

  Args:
    parent: the response.
    mode: of `branching.segment_entropy`.
  """
  behind = jnp.roll(parent.text.ends_line, 1).at[0].set(True)
  begins = parent.mask & behind
  number, length = jnp.cumsum(begins), len(begins)
  place = jnp.arange(length)[:, None] + jnp.arange(TOKENS)
  inside, place = place < length, jnp.minimum(place, length - 1)
  inside &= parent.mask[place] & (number[place] == number[:, None])
  nats = parent.stats[NEEDS[mode].key][place]
  entropy = branching.segment_entropy(
    nats, inside, parent.vocabulary, mode, TOKENS
  )
  return Segments(begins, entropy)


def places(forks: Array, count: int, most: Array | int) -> Array:
  """Where the branches of a response part.

  Args:
    forks: bool[T, K] whether it forks at a place, K dice each.
    count: of its branches, n.
    most: i32[] of them that may be forks.

  Returns:
    i32[n]; the first forks in the order of the response, then 0: what has no
    fork is a new response.
  """
  rank = jnp.cumsum(forks.reshape(-1)).reshape(forks.shape) - 1
  rank = jnp.where(forks & (rank < most), rank, count)
  place = jnp.broadcast_to(jnp.arange(len(forks))[:, None], forks.shape)
  return jnp.zeros(count, jnp.int32).at[rank].set(place, mode="drop")


def in_turn(
  decides: Callable[[Array, Array, Array], Array],
  uniform: Array,
  rise: Array,
  allowed: Array,
) -> Array:
  """Forks where every decision depends on how many were taken in a row.

  Args:
    decides: (uniform f32[K], rise f32[], rounds i32[]) -> bool[K]; see
      `branching.forks_in_turn`.
    uniform: f32[T, K] dice.
    rise: f32[T].
    allowed: bool[T] where the row may fork: one round each.

  Returns:
    bool[T, K].
  """
  (order,) = jnp.nonzero(allowed, size=len(allowed))

  def one(number, carry):
    rounds, found = carry
    place = order[number]
    forked = decides(uniform[place], rise[place], rounds)
    rounds = jnp.where(forked.any(), rounds + 1, 0)
    return rounds, found.at[place].set(forked)

  begin = jnp.int32(0), jnp.zeros(uniform.shape, bool)
  return jax.lax.fori_loop(0, allowed.sum(), one, begin)[1]


def planned(
  draws: tuple[Draw, ...],
  name: str,
  branches: int,
  cut: Callable[[Parent, int], Array],
  copies_count: bool = True,
) -> tuple[Draw, ...]:
  """The draws, and one of branches that are sampled as the main one is.

  Args:
    draws: the main one first.
    name: of the draw of the branches.
    branches: of each response of the main draw.
    cut: where they part.
    copies_count: whether the tokens that they copy are trained.
  """
  main = draws[0]
  of_main = main._replace(
    name=name,
    per_prompt=main.per_prompt * branches,
    parent=main.name,
    cut=cut,
    copies_count=copies_count,
  )
  return (*draws, of_main)


def metrics(context: Context, name: str, need: Need) -> dict[str, Array]:
  """What there is to tell of the branches of a method in `prepare`.

  Args:
    context: of the method.
    name: of its draw.
    need: entropy of the policy at rollout.

  Returns:
    branched_fraction: share of the branches that begin with tokens of another
      response, others being new ones; branch_entropy: nats, of the first tokens
      that the former sample.
  """
  batch, (number, _) = context.batch, context.draw(name)
  _, copied = branching.lineage(batch)
  own = batch.source == number
  branched = own & (copied > 0)
  first = jnp.arange(batch.mask.shape[1]) == copied[:, None]
  first &= branched[:, None] & batch.mask
  found = {
    "branched_fraction": (branched.astype(jnp.float32), own),
    "branch_entropy": (context.stat(need), first),
  }
  return {
    f"{context.name}/{key}": reduce.masked_mean(*x) for key, x in found.items()
  }
