"""A fixed number of rows works off a queue: none idles while samples wait.

What is sampled is written down by sample, not by row, and depends on neither
the row, nor the other rows, nor the order: the dice are the sample's own, and a
token's place in the cache is its position.

Shapes: R rows, Q samples, T response positions, D width.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.kernels import reference
from rlvr_jax.models.transformer import Decoding, Read, Transformer
from rlvr_jax.sampling import distribution
from rlvr_jax.sampling.queue import Queue, Samples
from rlvr_jax.sampling.refill import Refill
from rlvr_jax.sampling.shares import Share
from rlvr_jax.sampling.state import Ends, Record, Rows
from rlvr_jax.types import Array, Need, TokenText

# Rows and tokens of a response below which it is not worth the time to compile
# a loop for fewer rows.
FEWEST, LONG = 32, 128


def rounded(rows: int) -> int:
  """The next multiple of 16, at least 16.

  What is left over when a loop is cut into vectors is computed otherwise, and
  so is a matrix product of few rows: samples would depend on their row.
  """
  return 16 * max(-(-rows // 16), 1)


def of_device(samples: int, rows: int, devices: int) -> int:
  """Rows that decode at a time on each of so many devices.

  Args:
    samples: of all devices.
    rows: that all devices may have, as near as it can be; 0 for any number.
    devices: that samples are split over.
  """
  own = samples // devices
  return rounded(min(own, rows // devices) if rows else own)


class Sampler(NamedTuple):
  """How rows work, see `rollout`."""

  model: Transformer
  shares: tuple[Share, ...]  # of the draws
  length: int
  ends: Ends
  needs: tuple[Need, ...]
  block: int
  axes: tuple[str, ...] = ()  # of the mesh, over which rows are split

  def run(
    self,
    weights: Decoding,
    prompts: Read,
    queue: Queue,
    text: TokenText | None,
    rows: int,
  ) -> Record:
    """Works off a queue.

    Args:
      weights: of `Transformer.decoding`.
      prompts: that the samples answer.
      queue: of one device.
      text: of all tokens, [V]; None if nobody told.
      rows: R.
    """
    state = self.start(prompts, queue, rows)
    vocabulary = self.model.config.vocabulary
    refill = Refill(prompts, queue, self._branches, vocabulary, text)
    sizes = self._sizes(rows)
    for size, fewer in zip(sizes, [*sizes[1:], 0]):

      def left(state, fewer=fewer):
        own = refill.waits(state) | (state.going.sum() > fewer)
        # All devices go on together: what they do may have to meet.
        return jax.lax.pmax(own, self.axes) if self.axes else own

      def advance(state):
        return self.advance(weights, queue, refill(state))

      state = jax.lax.while_loop(left, advance, state.gathered(size))
    return state.record

  @property
  def _branches(self) -> tuple[Share, ...]:
    return tuple(share for share in self.shares if share.parent is not None)

  def _sizes(self, rows: int) -> list[int]:
    """Rows that decode, and how few of them do when most have ended.

    On CPU half of the rows takes little more than half of the time; elsewhere
    reading the weights takes it, and another loop only takes long to compile.
    """
    sizes = [rows]
    if self.model.platform == "cpu" and self.length >= LONG:
      while sizes[-1] >= FEWEST:
        sizes.append(rounded(sizes[-1] // 2))
    return sizes

  def start(self, prompts: Read, queue: Queue, rows: int) -> Rows:
    """Rows that have done nothing."""
    size, width = len(queue.order), self.model.config.width
    positions = prompts.cache.begins[-1] + self.length
    none, no_sample = (jnp.zeros(n, jnp.int32) for n in (rows, size))
    per_token = jnp.zeros((size, self.length), jnp.float32)
    one = lambda need: (*per_token.shape, *stats.width(need, width))
    return Rows(
      sample=none,
      going=none > 0,
      parting=none > 0,
      token=none,
      position=none,
      cache=self.model.empty_cache(rows, positions, self.block),
      begun=jnp.int32(0),
      home=no_sample - 1,
      record=Record(
        count=no_sample,
        copied=no_sample,
        tokens=jnp.full(per_token.shape, self.ends.pad, jnp.int32),
        sample_logp=per_token,
        stats={n.key: jnp.zeros(one(n), jnp.float32) for n in self.needs},
      ),
    )

  def advance(self, weights: Decoding, queue: Queue, state: Rows) -> Rows:
    """One more token for every row."""
    hidden, cache = self.model.step(
      weights, state.token, state.position, state.cache
    )
    own = jax.tree.map(lambda x: x[state.sample], queue.samples)
    count = state.record.count[state.sample]
    logits = self.model.next_logits(weights, hidden)
    cut = self._distribution(logits, own)
    token = distribution.draw(cut, _uniforms(own.key, count))
    found = stats.of_tokens(
      self.needs,
      {"policy": logits},
      {"policy": hidden},
      token,
      own.score_temperature,
    )
    record = _written(state, token, _logp(cut, token), found)
    ended = self.ends.stops_at(token) | (count + 1 >= own.limit)
    going = state.going & ~ended
    return state._replace(
      cache=cache,
      record=record,
      going=going,
      parting=state.going & ended & self._is_parent(own),
      token=token,
      position=jnp.where(going, state.position + 1, 0),
    )

  def _is_parent(self, own: Samples) -> Array:
    """bool[R]: whether samples have branches."""
    parents = {share.parent.draw.name for share in self._branches}
    is_parent = [share.draw.name in parents for share in self.shares]
    return jnp.array(is_parent)[own.draw]

  def _distribution(self, logits: Array, own: Samples) -> Array:
    """Logits f32[R, V] of the distribution that tokens are drawn from."""
    temperature, draws = own.temperature, [share.draw for share in self.shares]
    asks = [n for n, draw in enumerate(draws) if callable(draw.temperature)]
    if asks:
      any_token = jnp.zeros(len(logits), jnp.int32)
      entropy = reference.moments(logits, any_token).entropy
      for number in asks:
        said = draws[number].temperature_at(entropy)
        temperature = jnp.where(own.draw == number, said, temperature)
    if temperature is not None:
      logits = distribution.temper(logits, temperature)
    most = max(draw.top_k for draw in draws)
    cuts = own.top_k, own.top_p, own.min_p
    return distribution.truncate(logits, *cuts, most)


def _written(state: Rows, token: Array, logp: Array, found: dict) -> Record:
  """What is known of the newest tokens is written down."""
  old, sample = state.record, state.sample
  count = old.count[sample]
  # A row that idles writes nowhere.
  place = jnp.where(state.going, sample, len(old.count))
  put = lambda x, new: x.at[place, count].set(new, mode="drop")
  return old._replace(
    count=old.count.at[place].set(count + 1, mode="drop"),
    tokens=put(old.tokens, token),
    sample_logp=put(old.sample_logp, logp),
    stats={key: put(old.stats[key], x) for key, x in found.items()},
  )


def _logp(logits: Array, token: Array) -> Array:
  """f32[R] nats, of tokens under logits f32[R, V]."""
  return reference.moments(logits, token).logp


def _uniforms(keys: Array, count: Array) -> Array:
  """f32[R, 2]: the dice of each row for its next token."""
  at = jax.vmap(jax.random.fold_in)(keys, count)
  return jax.vmap(lambda key: jax.random.uniform(key, (2,)))(at)
