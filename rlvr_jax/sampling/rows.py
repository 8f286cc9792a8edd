"""A fixed number of rows works off a queue: none idles while samples wait.

A row that ends gets the next sample at once, its prompt copied in front of its
cache. What is sampled is written down by sample, not by row, and depends on
neither the row, nor the other rows, nor the order: the dice are the sample's
own, and a token's place in the cache is its position.

Shapes: R rows, Q samples, T response positions, D width.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.kernels import reference
from rlvr_jax.models.cache import Cache
from rlvr_jax.models.transformer import Decoding, Read, Transformer
from rlvr_jax.sampling import distribution
from rlvr_jax.sampling.queue import Queue, Samples
from rlvr_jax.types import Array, Draw, Need


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
  tokens: Array  # i32[Q, T]
  sample_logp: Array  # f32[Q, T] nats
  stats: dict[str, Array]  # f32[Q, T], of hidden states [Q, T, K], by Need.key


class Rows(NamedTuple):
  """What rows are at, and what they have done."""

  sample: Array  # i32[R] number in the queue
  going: Array  # bool[R]
  position: Array  # i32[R] of the newest token; 0 of a row that idles
  token: Array  # i32[R] the newest, which the cache does not hold yet
  hidden: Array  # f[R, D] state that predicts the next token
  cache: Cache
  begun: Array  # i32[] samples that have got a row
  record: Record


# What of it is [R, ...].
PER_ROW = ("sample", "going", "position", "token", "hidden")

# Rows below which it is not worth the time to compile a loop for fewer.
FEWEST = 16


class Sampler(NamedTuple):
  """How rows work, see `rollout`."""

  model: Transformer
  draws: tuple[Draw, ...]
  length: int
  ends: Ends
  needs: tuple[Need, ...]
  block: int

  def run(
    self, weights: Decoding, prompts: Read, queue: Queue, rows: int
  ) -> Record:
    """Works off a queue.

    Args:
      weights: of `Transformer.decoding`.
      prompts: that the samples answer.
      queue: of one device.
      rows: R.
    """
    state = self.start(prompts, queue, rows)
    sizes = self._sizes(rows)
    for size, fewer in zip(sizes, [*sizes[1:], 0]):

      def left(state, fewer=fewer):
        waiting = state.begun < queue.wanted[0]
        return waiting | (state.going.sum() > fewer)

      def advance(state):
        return self.advance(weights, prompts, queue, state)

      state = jax.lax.while_loop(left, advance, _gathered(state, size))
    return state.record

  def _sizes(self, rows: int) -> list[int]:
    """Rows that decode, and how few of them do when most have ended.

    On CPU a quarter of the rows takes a quarter of the time; elsewhere reading
    the weights takes it, and another loop only takes long to compile.
    """
    sizes = [rows]
    while self.model.platform == "cpu" and sizes[-1] >= 4 * FEWEST:
      sizes.append(sizes[-1] // 4)
    return sizes

  def start(self, prompts: Read, queue: Queue, rows: int) -> Rows:
    """Rows that have done nothing."""
    size, width = len(queue.order), prompts.hidden.shape[1]
    positions = prompts.cache.size * prompts.cache.keys.shape[1] + self.length
    none = jnp.zeros(rows, jnp.int32)
    per_token = jnp.zeros((size, self.length), jnp.float32)
    one = lambda need: (*per_token.shape, *stats.width(need, width))
    return Rows(
      sample=none,
      going=none > 0,
      position=none,
      token=none,
      hidden=jnp.zeros((rows, width), prompts.hidden.dtype),
      cache=self.model.empty_cache(rows, positions, self.block),
      begun=jnp.int32(0),
      record=Record(
        count=jnp.zeros(size, jnp.int32),
        tokens=jnp.full(per_token.shape, self.ends.pad, jnp.int32),
        sample_logp=per_token,
        stats={n.key: jnp.zeros(one(n), jnp.float32) for n in self.needs},
      ),
    )

  def advance(
    self, weights: Decoding, prompts: Read, queue: Queue, state: Rows
  ) -> Rows:
    """One more token for every row."""
    hidden, cache = self.model.step(
      weights, state.token, state.position, state.cache
    )
    state = state._replace(hidden=hidden, cache=cache)
    return self._emit(weights, queue, _refilled(prompts, queue, state))

  def _emit(self, weights: Decoding, queue: Queue, state: Rows) -> Rows:
    """Samples a token per row and writes it down."""
    own = jax.tree.map(lambda x: x[state.sample], queue.samples)
    count = state.record.count[state.sample]
    logits = self.model.next_logits(weights, state.hidden)
    cut = self._distribution(logits, own)
    token = distribution.draw(cut, _uniforms(own.key, count))
    chosen = jnp.take_along_axis(cut, token[:, None], axis=-1)[:, 0]
    found = stats.of_tokens(
      self.needs,
      {"policy": logits},
      {"policy": state.hidden},
      token,
      own.score_temperature,
    )
    logp = chosen - jax.nn.logsumexp(cut, axis=-1)
    # A row that idles writes nowhere.
    place = jnp.where(state.going, state.sample, len(queue.order)), count
    put = lambda old, new: old.at[place].set(new, mode="drop")
    old = state.record
    record = Record(
      old.count.at[place[0]].set(count + 1, mode="drop"),
      put(old.tokens, token),
      put(old.sample_logp, logp),
      {key: put(old.stats[key], x) for key, x in found.items()},
    )
    going = state.going & ~self.ends.stops_at(token) & (count + 1 < own.limit)
    position = jnp.where(going, state.position + 1, 0)
    return state._replace(
      record=record, going=going, position=position, token=token
    )

  def _distribution(self, logits: Array, own: Samples) -> Array:
    """Logits f32[R, V] of the distribution that tokens are drawn from."""
    temperature = own.temperature
    asks = [
      n for n, draw in enumerate(self.draws) if callable(draw.temperature)
    ]
    if asks:
      any_token = jnp.zeros(len(logits), jnp.int32)
      entropy = reference.moments(logits, any_token).entropy
      for number in asks:
        said = self.draws[number].temperature_at(entropy)
        temperature = jnp.where(own.draw == number, said, temperature)
    tempered = distribution.temper(logits, temperature)
    most = max(draw.top_k for draw in self.draws)
    cuts = own.top_k, own.top_p, own.min_p
    return distribution.truncate(tempered, *cuts, most)


def _gathered(state: Rows, rows: int) -> Rows:
  """So many rows, those that are going among them."""
  if rows == len(state.going):
    return state
  order = jnp.argsort(~state.going, stable=True)[:rows]
  take = lambda x: x[order]
  own = {name: take(getattr(state, name)) for name in PER_ROW}
  cache = jax.tree.map(lambda x: x[:, :, order], state.cache)
  return state._replace(cache=cache, **own)


def _uniforms(keys: Array, count: Array) -> Array:
  """f32[R, 2]: the dice of each row for its next token."""
  at = jax.vmap(jax.random.fold_in)(keys, count)
  return jax.vmap(lambda key: jax.random.uniform(key, (2,)))(at)


def _refilled(prompts: Read, queue: Queue, state: Rows) -> Rows:
  """Gives the next samples to the rows that have ended, one after the other."""

  def waiting(state):
    return ~state.going.all() & (state.begun < queue.wanted[0])

  def begin(state):
    row = jnp.argmin(state.going)
    sample = queue.order[state.begun]
    prompt = queue.samples.prompt[sample]
    put = lambda x, value: x.at[row].set(value)
    return state._replace(
      sample=put(state.sample, sample),
      going=put(state.going, True),
      # Of the token that is about to be drawn, less the one `_emit` adds.
      position=put(state.position, prompts.length[prompt] - 1),
      hidden=put(state.hidden, prompts.hidden[prompt]),
      cache=state.cache.copied(prompts.cache, prompt, row),
      begun=state.begun + 1,
    )

  return jax.lax.while_loop(waiting, begin, state)
