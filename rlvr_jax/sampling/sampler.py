"""Sampling of rollouts: prompts are read once, rows work off their samples.

Every sample has its own key made of draw name, prompt and sample number, so
what is sampled does not depend on which others there are. Per token the
log-prob under the distribution really sampled is recorded, and every statistic
of the policy at the scoring temperature that somebody needs: logits and hidden
states are at hand, so none of them costs a pass over the model.
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax import stats
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Decoding, Read, Transformer
from rlvr_jax.sampling import parts, queue, shares
from rlvr_jax.sampling import rows as rows_lib
from rlvr_jax.sampling.queue import Numbers, Queue
from rlvr_jax.sampling.rows import Sampler
from rlvr_jax.sampling.state import Ends, Record
from rlvr_jax.types import Array, Draw, Need, PyTree, TokenBatch, TokenText

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
  block: int | None = None,
  numbers: Numbers | None = None,
  limits: Array | None = None,
  rows: int = 0,
  text: TokenText | None = None,
) -> TokenBatch:
  """Samples every draw of a step. Pure; jit it with the counts static.

  Args:
    params: of the policy.
    prompts: i32[P, W] left-padded.
    prompt_mask: bool[P, W].
    draws: what to sample; the main draw first.
    key: of this step's sampling.
    model: the decoder.
    length: response positions T; a row that has not ended by then is cut.
    ends: meaning of special tokens.
    needs: of the methods; those of `recorded` are recorded.
    block: positions that the pieces of the cache, which attention reads one
      after the other, are made of; None for what suits the devices.
    numbers: of prompts and samples, for batches that are parts of something
      larger; None counts both from 0.
    limits: i32[P, G] tokens after which a sample of the main draw is cut, of
      1 to T; None for T.
    rows: that decode at a time, 0 for as many as there are samples; on each
      device they are rounded up to a multiple of 16. A row that ends gets the
      next sample. Changes no token.
    text: [V] of all tokens, for draws that branch where it says so; see
      `tasks.token_text`.

  Returns:
    A TokenBatch with the samples of all draws one after the other, each in
    prompt order; rewards and advantages are zero.
  """
  prompts, prompt_mask = jnp.asarray(prompts), jnp.asarray(prompt_mask)
  mesh = model.layout and model.layout.mesh
  devices = mesh_lib.row_parts(mesh) if mesh else 1
  if numbers is None:
    places = jnp.arange(len(prompts))
    numbers = Numbers(places, jnp.zeros_like(places))
  params = model.gathered(params)
  to = shares.deal(draws, len(prompts), devices)
  waiting = queue.make(draws, key, numbers, length, limits, to)
  own = rows_lib.of_device(len(waiting.order), rows, devices)
  dealt = [to.out(x) for x in (prompts, prompt_mask)]
  pieces = parts.count(len(dealt[0]), draws[0].per_prompt, rows, devices)
  block = block or model.block
  read = _read(model, params, *dealt, block, pieces)
  own_shares = tuple(shares.of_draws(draws, len(prompts), devices))
  sampler = Sampler(model, own_shares, length, ends, recorded(needs), block)
  run = _on_devices(sampler, mesh, own)
  weights = model.decoding(params, read.cache.begins[-1] + length)
  record = run(weights, read, waiting, text)
  split = lambda x: queue.by_draw(x, draws, len(prompts), to)
  return _assembled(jax.tree.map(split, record), prompts, prompt_mask, draws)


def _read(model, params, prompts, prompt_mask, block, pieces) -> Read:
  """Reads all prompts, or a part of them at a time."""
  if pieces == 1:
    return model.prefill(params, prompts, prompt_mask, block)

  def in_front(read):
    """With prompts as the first axis, or back."""
    turn = lambda x: x.swapaxes(0, 1)
    return read._replace(cache=jax.tree.map(turn, read.cache))

  def one(number):
    own = (parts.pick(x, pieces, number) for x in (prompts, prompt_mask))
    return in_front(model.prefill(params, *own, block))

  return in_front(parts.each(one, pieces))


def _on_devices(
  sampler: Sampler, mesh: Mesh | None, rows: int
) -> Callable[[Decoding, Read, Queue, TokenText | None], Record]:
  """`Sampler.run`, on every device that holds rows with a queue of its own."""
  if mesh is None or mesh_lib.row_parts(mesh) == 1:
    return functools.partial(sampler.run, rows=rows)
  axes = mesh_lib.ROWS[0]
  own = sampler._replace(model=sampler.model.of_one_device(), axes=axes)
  return jax.shard_map(
    functools.partial(own.run, rows=rows),
    mesh=mesh,
    axis_names=set(axes),
    in_specs=(P(), Read(P(axes), P(axes), P(None, axes)), P(axes), P()),
    out_specs=P(axes),
    check_vma=False,
  )


def _assembled(
  found: Record,
  prompts: Array,
  prompt_mask: Array,
  draws: tuple[Draw, ...],
) -> TokenBatch:
  """The batch of all draws; each leaf of the record is a list, by draw."""
  begun: dict[str, _Begin] = {}
  begin, batches = _Begin(0, 0, 0), []
  is_list = lambda x: isinstance(x, list)
  for number, draw in enumerate(draws):
    own = jax.tree.map(lambda x, n=number: x[n], found, is_leaf=is_list)
    begun[draw.name] = begin._replace(per_prompt=draw.per_prompt)
    batch = _of_draw(own, prompts, prompt_mask, draw, begun)
    if any(other.parent for other in draws):
      batch = _with_parents(batch, own, draw, begun)
    source = jnp.full_like(batch.source, number)
    batches.append(batch.replace(source=source))
    groups = draw.prompts(len(prompts)) if draw.parent is None else 0
    begin = _Begin(begin.row + len(batch.tokens), begin.group + groups, 0)
  return jax.tree.map(lambda *x: jnp.concatenate(x), *batches)


class _Begin(NamedTuple):
  """Where a draw begins in the batch."""

  row: int
  group: int
  per_prompt: int


def _of_draw(found, prompts, prompt_mask, draw, begun) -> TokenBatch:
  """The rows of one draw."""
  rows, length = found.tokens.shape
  prompt = np.arange(rows) // draw.per_prompt
  group = begun[draw.parent or draw.name].group + prompt
  count, record = draw.prompts(len(prompts)), dict(found.stats)
  each = lambda x: jnp.repeat(x[:count], draw.per_prompt, axis=0)
  old_logp = record.pop(OLD_LOGP.key)
  return TokenBatch(
    tokens=jnp.concatenate([each(prompts), found.tokens], axis=1),
    prompt_mask=each(prompt_mask),
    mask=jnp.arange(length) < found.count[:, None],
    turn=jnp.zeros((rows, length), jnp.int32),
    prompt=jnp.asarray(prompt, jnp.int32),
    group=jnp.asarray(group, jnp.int32),
    source=jnp.zeros(rows, jnp.int32),
    reward=jnp.zeros(rows, jnp.float32),
    sample_logp=found.sample_logp,
    score_temperature=jnp.broadcast_to(
      jnp.float32(draw.score_temperature), (rows,)
    ),
    old_logp=old_logp,
    advantages=jnp.zeros((rows, length), jnp.float32),
    stats=record,
    notes={},
    metrics={},
  )


def _with_parents(batch, found, draw, begun) -> TokenBatch:
  """With what tells branches from others."""
  rows, length = found.tokens.shape
  parent = np.full(rows, -1)
  if draw.parent is not None:
    of = begun[draw.parent]
    branches = draw.per_prompt // of.per_prompt
    parent = of.row + np.arange(rows) // branches
  mask = batch.mask
  if not draw.copies_count:
    mask &= jnp.arange(length) >= found.copied[:, None]
  return batch.replace(
    mask=mask, parent=jnp.asarray(parent, jnp.int32), copied=found.copied
  )
