"""Sampling of rollouts: prompts are read once, rows of a prompt share them.

Every row has its own key made of draw name, prompt and sample number, so what
a row samples does not depend on which other rows are in the batch. Per token
three things are recorded: its log-prob under the distribution really sampled,
the policy's log-prob at the scoring temperature, and the policy's entropy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import rng, stats
from rlvr_jax.kernels import reference
from rlvr_jax.models.decoder import Cache, Transformer
from rlvr_jax.sampling import distribution
from rlvr_jax.types import Array, Draw, Need, PyTree, TokenBatch

# What the sampler records without another pass over the model.
ENTROPY = Need(stats.Entropy(), when="rollout")
OLD_LOGP = Need(stats.Logp(), when="rollout")


class Ends(NamedTuple):
  """Tokens with a meaning: `eos` ends a response, `pad` fills what is left."""

  eos: int
  pad: int


class Record(NamedTuple):
  """What was sampled so far; [P, G, T] unless said otherwise."""

  position: Array  # i32[] tokens produced by every row
  hidden: Array  # f[P, G, D] state that predicts the next token
  tokens: Array  # i32
  mask: Array  # bool, the end included
  sample_logp: Array  # f32 nats
  old_logp: Array  # f32 nats
  entropy: Array  # f32 nats
  done: Array  # bool[P, G]
  cache: Cache  # of the responses


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
  window: int = 128,
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
    window: attention reads the response cache in stages of this many
      positions, so early tokens do not pay for the longest response.

  Returns:
    A TokenBatch with the rows of all draws one after the other, each in
    prompt order; rewards and advantages are zero.
  """
  hidden, cache = model.prefill(params, prompts, prompt_mask)
  blocks = []
  first_group = 0
  for number, draw in enumerate(draws):
    count = draw.prompts(prompts.shape[0])
    part = Cache(
      cache.keys[:, :count], cache.values[:, :count], cache.valid[:count]
    )
    start = _start(model, hidden[:count], draw.per_prompt, length, ends)
    keys = _row_keys(rng.named(key, draw.name), count, draw.per_prompt)
    record = _sample(params, start, part, keys, draw, model, ends, window)
    blocks.append(
      _assemble(record, prompts, prompt_mask, draw, number, first_group)
    )
    first_group += count
  return jax.tree.map(lambda *x: jnp.concatenate(x), *blocks)


def _row_keys(key: Array, prompts: int, per_prompt: int) -> Array:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  by_prompt = fold(key, jnp.arange(prompts))
  return jax.vmap(fold, in_axes=(0, None))(by_prompt, jnp.arange(per_prompt))


def _start(model, hidden, per_prompt, length, ends) -> Record:
  prompts, width = hidden.shape
  rows = (prompts, per_prompt)
  zeros = jnp.zeros((*rows, length), jnp.float32)
  return Record(
    position=jnp.int32(0),
    hidden=jnp.broadcast_to(hidden[:, None], (*rows, width)),
    tokens=jnp.full((*rows, length), ends.pad, jnp.int32),
    mask=jnp.zeros((*rows, length), bool),
    sample_logp=zeros,
    old_logp=zeros,
    entropy=zeros,
    done=jnp.zeros(rows, bool),
    cache=model.empty_cache(prompts, per_prompt, length),
  )


def _sample(params, record, prompt, keys, draw, model, ends, window) -> Record:
  """Runs the stages; each attends to no more cache than it can have filled."""
  length = record.tokens.shape[-1]
  record = _emit(params, record, keys, draw, model, ends)
  for stop in [*range(window, length, window), length]:

    def going(record, stop=stop):
      return (record.position < stop) & ~record.done.all()

    def advance(record, stop=stop):
      record = _read(params, record, prompt, model, stop)
      return _emit(params, record, keys, draw, model, ends)

    record = jax.lax.while_loop(going, advance, record)
  return record


def _emit(params, record, keys, draw, model, ends) -> Record:
  """Samples one token per row from the current states."""
  rows = record.done.shape
  logits = model.logits(params, record.hidden)
  logits = logits.reshape(-1, logits.shape[-1])
  flat = lambda x: jnp.broadcast_to(jnp.float32(x), rows).reshape(-1)
  tempered = distribution.temper(logits, flat(draw.temperature))
  cut = distribution.truncate(tempered, draw.top_k, draw.top_p, draw.min_p)
  at = jax.vmap(lambda k: jax.random.fold_in(k, record.position))
  uniforms = jax.vmap(lambda k: jax.random.uniform(k, (2,)))(
    at(keys.reshape(-1))
  )
  token = distribution.draw(cut, uniforms)
  sampled = jnp.take_along_axis(cut, token[:, None], axis=-1)[:, 0]
  policy = reference.moments(
    logits / flat(draw.score_temperature)[:, None], token
  )
  alive = ~record.done
  put = lambda old, new, empty=0: jax.lax.dynamic_update_index_in_dim(
    old, jnp.where(alive, new.reshape(rows), empty), record.position, axis=-1
  )
  return record._replace(
    tokens=put(record.tokens, token, ends.pad),
    mask=put(record.mask, jnp.ones(rows, bool), False),
    sample_logp=put(
      record.sample_logp, sampled - jax.nn.logsumexp(cut, axis=-1)
    ),
    old_logp=put(record.old_logp, policy.logp),
    entropy=put(record.entropy, policy.entropy),
    done=record.done | (token.reshape(rows) == ends.eos),
    position=record.position + 1,
  )


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
  flat = lambda x: x.reshape(rows, length)
  each = lambda x: jnp.repeat(x[:count], per_prompt, axis=0)
  zeros = jnp.zeros((rows, length), jnp.float32)
  group = first_group + np.arange(rows) // per_prompt
  return TokenBatch(
    tokens=jnp.concatenate([each(prompts), flat(record.tokens)], axis=1),
    prompt_mask=each(prompt_mask),
    mask=flat(record.mask),
    turn=jnp.zeros((rows, length), jnp.int32),
    group=jnp.asarray(group, jnp.int32),
    source=jnp.full(rows, number, jnp.int32),
    reward=jnp.zeros(rows, jnp.float32),
    sample_logp=flat(record.sample_logp),
    score_temperature=jnp.broadcast_to(
      jnp.float32(draw.score_temperature), (rows,)
    ),
    old_logp=flat(record.old_logp),
    advantages=zeros,
    stats={ENTROPY.key: flat(record.entropy)},
    notes={},
    metrics={},
  )
