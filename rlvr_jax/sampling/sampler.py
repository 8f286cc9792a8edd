"""Sampling of rollouts: prompts are read once, rows of a prompt share them.

Every row has its own key made of draw name, prompt and sample number, so what
a row samples does not depend on which other rows are in the batch. Per token
the log-prob under the distribution really sampled is recorded, and every
statistic of the policy at the scoring temperature that somebody needs: logits
and hidden states are at hand, so none of them costs a pass over the model.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import rng, stats
from rlvr_jax.kernels import reference
from rlvr_jax.models.decoder import Cache
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import distribution, parts
from rlvr_jax.types import Array, Draw, Need, PyTree, TokenBatch

# What the sampler records whether it is asked to or not.
ENTROPY = Need(stats.Entropy(), when="rollout")
OLD_LOGP = Need(stats.Logp(), when="rollout")


def recorded(needs: Iterable[Need]) -> tuple[Need, ...]:
  """What a rollout records if these are needed: all that is the policy's."""
  own = [
    need
    for need in needs
    if need.when == "rollout"
    and need.params == ("policy",)
    and not need.is_note
  ]
  return tuple(dict.fromkeys((OLD_LOGP, ENTROPY, *own)))


# Positions of a stage, see `rollout`.
WINDOW = 128


class Ends(NamedTuple):
  """Tokens with a meaning: `stops` end a response, `pad` fills what is left."""

  stops: tuple[int, ...]
  pad: int

  def stops_at(self, token: Array) -> Array:
    """Bool of i32[...]: whether a token ends its response."""
    return jnp.isin(token, jnp.array(self.stops))


class Numbers(NamedTuple):
  """Which prompts and samples a batch holds; the dice are made of these."""

  prompt: Array  # u32[P] or i32[P]
  first_sample: Array  # i32[P]; the rows of a prompt count on from it


class Record(NamedTuple):
  """What was sampled so far; [P, G, T] unless said otherwise."""

  position: Array  # i32[] tokens produced by every row
  hidden: Array  # f[P, G, D] state that predicts the next token
  tokens: Array  # i32
  mask: Array  # bool, the end included
  sample_logp: Array  # f32 nats
  stats: dict[str, Array]  # f32, hidden ones [P, G, T, K], by Need.key
  done: Array  # bool[P, G]
  cache: Cache  # of the responses


class Sampled(NamedTuple):
  """What is left of a Record when all rows are done."""

  tokens: Array
  mask: Array
  sample_logp: Array
  stats: dict[str, Array]


def rollout(
  params: PyTree,
  prompts: Array,
  prompt_mask: Array,
  draws: tuple[Draw, ...],
  key: Array,
  *,
  model: Transformer,
  length: int,
  ends: Ends,
  needs: tuple[Need, ...] = (),
  window: int = WINDOW,
  numbers: Numbers | None = None,
  rows: int = 0,
  devices: int = 1,
) -> TokenBatch:
  """Samples every draw of a step. Pure; jit it with the counts static.

  Args:
    params: of the policy.
    prompts: i32[P, W] left-padded.
    prompt_mask: bool[P, W].
    draws: blocks of rows; the main one first.
    key: of this step's sampling.
    model: the decoder.
    length: response positions T; a row that has not ended by then is cut.
    ends: meaning of special tokens.
    needs: of the methods; those of `recorded` are recorded.
    window: attention reads the response cache in stages of this many
      positions, so early tokens do not pay for the longest response.
    numbers: of prompts and samples, for batches that are parts of something
      larger; None counts both from 0.
    rows: most rows in memory at a time, 0 for all; changes no sample.
    devices: over which rows are split.

  Returns:
    A TokenBatch with the rows of all draws one after the other, each in
    prompt order; rewards and advantages are zero.
  """
  params = model.gathered(params)
  read = functools.partial(model.prefill, params)
  pieces = parts.count(len(prompts), draws[0].per_prompt, rows, devices)
  hidden, cache = _prefill(read, prompts, prompt_mask, pieces)
  needs = recorded(needs)
  if numbers is None:
    places = jnp.arange(prompts.shape[0])
    numbers = Numbers(places, jnp.zeros_like(places))
  blocks = []
  first_group = 0
  for number, draw in enumerate(draws):
    count = draw.prompts(prompts.shape[0])
    part = Cache(
      cache.keys[:, :count], cache.values[:, :count], cache.valid[:count]
    )
    own = Numbers(*(x[:count] for x in numbers))
    keys = _row_keys(rng.named(key, draw.name), own, draw.per_prompt)
    how = dict(model=model, ends=ends, needs=needs, window=window)
    run = functools.partial(_responses, params, length=length, **how)
    pieces = parts.count(count, draw.per_prompt, rows, devices)
    sampled = _in_parts(run, hidden[:count], part, keys, draw, pieces)
    blocks.append(
      _assemble(sampled, prompts, prompt_mask, draw, number, first_group)
    )
    first_group += count
  return jax.tree.map(lambda *x: jnp.concatenate(x), *blocks)


def _prefill(read, prompts, prompt_mask, pieces) -> tuple[Array, Cache]:
  """Reads all prompts, or a part of them at a time."""
  if pieces == 1:
    return read(prompts, prompt_mask)

  def one(number):
    pick = lambda x: parts.pick(x, pieces, number)
    hidden, (keys, values, valid) = read(pick(prompts), pick(prompt_mask))
    return hidden, keys.swapaxes(0, 1), values.swapaxes(0, 1), valid

  hidden, keys, values, valid = parts.each(one, pieces)
  return hidden, Cache(keys.swapaxes(0, 1), values.swapaxes(0, 1), valid)


def _in_parts(run, hidden, prompt, keys, draw, pieces) -> Sampled:
  """Calls `run` for all prompts, or for a part of them at a time."""
  if pieces == 1:
    return run(hidden, prompt, keys, draw)

  def one(number):
    pick = lambda x, axis=0: parts.pick(x, pieces, number, axis)
    cache = Cache(
      pick(prompt.keys, 1), pick(prompt.values, 1), pick(prompt.valid)
    )
    # What is not one number for all rows has prompts in front.
    own = lambda x: pick(x) if getattr(x, "ndim", 0) else x
    return run(pick(hidden), cache, pick(keys), type(draw)(*map(own, draw)))

  return parts.each(one, pieces)


def _responses(
  params, hidden, prompt, keys, draw, *, length, model, ends, needs, window
) -> Sampled:
  """The responses to some prompts."""
  start = _start(model, hidden, draw.per_prompt, length, ends, needs)
  done = _sample(params, start, prompt, keys, draw, model, ends, needs, window)
  return Sampled(done.tokens, done.mask, done.sample_logp, done.stats)


def _row_keys(key: Array, numbers: Numbers, per_prompt: int) -> Array:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  samples = numbers.first_sample[:, None] + jnp.arange(per_prompt)
  return jax.vmap(fold)(fold(key, numbers.prompt), samples)


def _start(model, hidden, per_prompt, length, ends, needs) -> Record:
  prompts, width = hidden.shape
  rows = (prompts, per_prompt)
  zeros = jnp.zeros((*rows, length), jnp.float32)
  one = lambda need: stats.width(need, width)
  return Record(
    position=jnp.int32(0),
    hidden=jnp.broadcast_to(hidden[:, None], (*rows, width)),
    tokens=jnp.full((*rows, length), ends.pad, jnp.int32),
    mask=jnp.zeros((*rows, length), bool),
    sample_logp=zeros,
    stats={
      n.key: jnp.zeros((*zeros.shape, *one(n)), zeros.dtype) for n in needs
    },
    done=jnp.zeros(rows, bool),
    cache=model.empty_cache(prompts, per_prompt, length),
  )


def _sample(
  params, record, prompt, keys, draw, model, ends, needs, window
) -> Record:
  """Runs the stages; each attends to no more cache than it can have filled."""
  length = record.tokens.shape[-1]
  record = _emit(params, record, keys, draw, model, ends, needs)
  for stop in [*range(window, length, window), length]:

    def going(record, stop=stop):
      return (record.position < stop) & ~record.done.all()

    def advance(record, stop=stop):
      record = _read(params, record, prompt, model, stop)
      return _emit(params, record, keys, draw, model, ends, needs)

    record = jax.lax.while_loop(going, advance, record)
  return record


def _emit(params, record, keys, draw, model, ends, needs) -> Record:
  """Samples one token per row from the current states."""
  rows = record.done.shape
  logits = model.logits(params, record.hidden)
  logits = logits.reshape(-1, logits.shape[-1])
  cut = _distribution(logits, draw, rows)
  at = jax.vmap(lambda k: jax.random.fold_in(k, record.position))
  uniforms = jax.vmap(lambda k: jax.random.uniform(k, (2,)))(
    at(keys.reshape(-1))
  )
  token = distribution.draw(cut, uniforms)
  sampled = jnp.take_along_axis(cut, token[:, None], axis=-1)[:, 0]
  states = record.hidden.reshape(token.size, -1)
  scoring = jnp.broadcast_to(jnp.float32(draw.score_temperature), token.shape)
  found = stats.of_tokens(
    needs, {"policy": logits}, {"policy": states}, token, scoring
  )
  alive = ~record.done

  def put(old, new, empty=0):
    new = new.reshape(*rows, *new.shape[1:])
    new = jnp.where(jnp.expand_dims(alive, range(2, new.ndim)), new, empty)
    return jax.lax.dynamic_update_index_in_dim(old, new, record.position, 2)

  return record._replace(
    tokens=put(record.tokens, token, ends.pad),
    mask=put(record.mask, jnp.ones(token.shape, bool), False),
    sample_logp=put(
      record.sample_logp, sampled - jax.nn.logsumexp(cut, axis=-1)
    ),
    stats={k: put(old, found[k]) for k, old in record.stats.items()},
    done=record.done | ends.stops_at(token.reshape(rows)),
    position=record.position + 1,
  )


def _distribution(logits: Array, draw: Draw, rows: tuple[int, int]) -> Array:
  """Logits f32[N, V] of the distribution that tokens are drawn from."""
  entropy = jnp.zeros(rows, jnp.float32)  # read for its shape only, or:
  if callable(draw.temperature):
    any_token = jnp.zeros(logits.shape[0], jnp.int32)
    entropy = reference.moments(logits, any_token).entropy.reshape(rows)
  temperature = draw.temperature_at(entropy)
  tempered = distribution.temper(logits, temperature.reshape(-1))
  return distribution.truncate(tempered, draw.top_k, draw.top_p, draw.min_p)


def _read(params, record, prompt, model, stop) -> Record:
  """Feeds the newest tokens back to get the states after them."""
  n, cache = record.position - 1, record.cache
  tokens = jax.lax.dynamic_index_in_dim(record.tokens, n, -1, keepdims=False)
  lengths = prompt.valid.sum(axis=1).astype(jnp.int32)
  positions = jnp.broadcast_to(lengths[:, None] + n, tokens.shape)
  seen = Cache(
    cache.keys[..., :stop, :],
    cache.values[..., :stop, :],
    jnp.arange(stop) < n,
  )
  hidden, (keys, values) = model.step(params, tokens, positions, prompt, seen)
  put = lambda old, new: jax.lax.dynamic_update_index_in_dim(
    old, new[..., None, :], n, axis=-2
  )
  cache = cache._replace(
    keys=put(cache.keys, keys), values=put(cache.values, values)
  )
  return record._replace(hidden=hidden, cache=cache)


def _assemble(record, prompts, prompt_mask, draw, number, first_group):
  count, per_prompt, length = record.tokens.shape
  rows = count * per_prompt
  flat = lambda x: x.reshape(rows, length, *x.shape[3:])
  found = {k: flat(v) for k, v in record.stats.items()}
  old_logp = found.pop(OLD_LOGP.key)
  each = lambda x: jnp.repeat(x[:count], per_prompt, axis=0)
  zeros = jnp.zeros((rows, length), jnp.float32)
  prompt = np.arange(rows) // per_prompt
  return TokenBatch(
    tokens=jnp.concatenate([each(prompts), flat(record.tokens)], axis=1),
    prompt_mask=each(prompt_mask),
    mask=flat(record.mask),
    turn=jnp.zeros((rows, length), jnp.int32),
    prompt=jnp.asarray(prompt, jnp.int32),
    group=jnp.asarray(first_group + prompt, jnp.int32),
    source=jnp.full(rows, number, jnp.int32),
    reward=jnp.zeros(rows, jnp.float32),
    sample_logp=flat(record.sample_logp),
    score_temperature=jnp.broadcast_to(
      jnp.float32(draw.score_temperature), (rows,)
    ),
    old_logp=old_logp,
    advantages=zeros,
    stats=found,
    notes={},
    metrics={},
  )
