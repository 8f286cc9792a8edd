"""What rows are at while they work off a queue.

Shapes: R rows, Q samples, T response positions.
"""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax.models.cache import Cache
from rlvr_jax.types import Array


class Ends(NamedTuple):
  """Tokens with a meaning: `stops` end a response, `pad` fills what is left."""

  stops: tuple[int, ...]
  pad: int

  def stops_at(self, token: Array) -> Array:
    """Bool of i32[...]: whether a token ends its response."""
    return jnp.isin(token, jnp.array(self.stops))


class Record(NamedTuple):
  """What was sampled, by sample."""

  count: Array  # i32[Q] tokens so far
  copied: Array  # i32[Q] how many of them are a parent's
  tokens: Array  # i32[Q, T]
  sample_logp: Array  # f32[Q, T] nats
  stats: dict[str, Array]  # f32[Q, T], of hidden states [Q, T, K], by Need.key


class Rows(NamedTuple):
  """What rows are at, and what they have done.

  A branch that waits names the row whose cache holds the tokens before it:
  whoever works there now has as many of them itself, and leaves them.
  """

  sample: Array  # i32[R] number in the queue
  going: Array  # bool[R]
  parting: Array  # bool[R] a parent has ended, its branches do not wait yet
  token: Array  # i32[R] the newest, which the cache does not hold yet
  position: Array  # i32[R] of that token; 0 of a row that idles
  cache: Cache
  begun: Array  # i32[] samples of the queue's order that have got a row
  home: Array  # i32[Q] row that holds the tokens of a branch that waits, or -1
  record: Record

  @property
  def waiting(self) -> Array:
    """bool[Q]: branches that could begin."""
    return self.home >= 0

  def gathered(self, rows: int) -> "Rows":
    """So many rows, those that are going among them. No branch may wait."""
    if rows == len(self.going):
      return self
    order = jnp.argsort(~self.going, stable=True)[:rows]
    names = ("sample", "going", "parting", "token", "position")
    own = {name: getattr(self, name)[order] for name in names}
    return self._replace(cache=self.cache.rows(order), **own)
