"""What a transform is tried on: a small rollout, also spoilt or extreme."""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, stats, testing, transform
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, TokenBatch

PADDING_ROWS = 2
NOTHING = "no tokens at all"
BASE = transform.chain(
  transform.estimate(
    "laws_base",
    lambda batch, context: (
      batch.reward - reduce.group_mean(batch.reward, batch.group)
    ),
  )
)


class Rollout(NamedTuple):
  """A rollout and the parameters it came from."""

  batch: TokenBatch
  params: dict[str, Array]
  draws: tuple[tuple[str, int], ...]


@functools.lru_cache
def trial(method: LossTransform) -> tuple[LossTransform, Rollout]:
  """What to run for a transform, the same objects for the same transform.

  Args:
    method: a transform or a chain.

  Returns:
    The method in a chain, behind a source of advantages unless it is one
    itself, and a rollout with rows of padding and the statistics it needs.
  """
  base = () if "advantages" in method.owns else (BASE,)
  chain = transform.chain(*base, method)
  plans = any(part.plan is not transform.keep_plan for part in chain.parts)
  sampled = _sampled(method if plans else LossTransform("main"))
  then = sampled.params | {"policy": sampled.params["rollout"]}
  needs = tuple(
    need for need in method.needs if need.when == "rollout" and not need.is_note
  )
  batch = sampled.batch.replace(
    stats=stats.score(needs, then, sampled.batch, model=testing.Bigram()),
    notes=testing.notes(method.needs, sampled.batch, jax.random.key(2)),
  )
  return chain, sampled._replace(batch=batch)


@functools.lru_cache
def _sampled(method):
  example = testing.tiny(method)
  pad = lambda x: jnp.concatenate([x, jnp.zeros_like(x[:PADDING_ROWS])])
  batch = jax.tree.map(pad, example.batch)
  padding = jnp.arange(len(batch.group)) >= len(example.batch.group)
  none = lambda x: None if x is None else jnp.where(padding, -1, x)
  batch = batch.replace(
    prompt=none(batch.prompt),
    group=none(batch.group),
    parent=none(batch.parent),
    score_temperature=jnp.where(padding, 1.0, batch.score_temperature),
  )
  return Rollout(batch, example.params, example.draws)


def spoil(batch: TokenBatch, junk: Array) -> TokenBatch:
  """Puts junk, 99 among integers, wherever nothing counts."""
  counts = (batch.group >= 0) | batch.mask.any(axis=1)
  token = lambda x: _fill(batch.mask, x, junk)
  row = lambda x: _fill(counts, x, junk)
  return batch.replace(
    turn=token(batch.turn),
    reward=row(batch.reward),
    sample_logp=token(batch.sample_logp),
    score_temperature=row(batch.score_temperature),
    old_logp=token(batch.old_logp),
    advantages=token(batch.advantages),
    stats={k: token(v) for k, v in batch.stats.items()},
    notes={
      k: token(v) if v.ndim > 1 else row(v) for k, v in batch.notes.items()
    },
    copied=None if batch.copied is None else row(batch.copied),
  )


def _fill(counts, x, junk):
  counts = jnp.expand_dims(counts, range(counts.ndim, x.ndim))
  is_float = jnp.issubdtype(x.dtype, jnp.floating)
  return jnp.where(counts, x, junk if is_float else 99)


def extremes(batch: TokenBatch) -> Iterator[tuple[str, TokenBatch, float]]:
  """(what, rollout, all current log-probs or NaN) of hard inputs."""
  real = batch.group >= 0
  number, position = map(jnp.arange, batch.mask.shape)
  hard = {
    "two rows without tokens": dict(mask=batch.mask & (number >= 2)[:, None]),
    NOTHING: dict(mask=jnp.zeros_like(batch.mask)),
    "rows of one token": dict(mask=batch.mask & (position == 0)),
    "one row alone": dict(mask=batch.mask & (number == 0)[:, None]),
    "equal rewards": dict(reward=real.astype(jnp.float32)),
    "groups of one": dict(group=jnp.where(real, number, -1)),
    "rows without groups": dict(group=jnp.full_like(batch.group, -1)),
  }
  for name, fields in hard.items():
    yield name, batch.replace(**fields), math.nan
  for old, new in ((-1e4, -1e4), (0.0, 0.0), (-50.0, 0.0), (0.0, -50.0)):
    yield f"log-probs of {new} after {old}", _sampled_at(batch, old), new
  turns = jnp.array([-1e4, -50.0, 0.0])[position % 3]
  yield "log-probs after -1e4, -50 and 0", _sampled_at(batch, turns), math.nan


def _sampled_at(batch: TokenBatch, logp: Array | float) -> TokenBatch:
  """The rollout with these log-probs at sampling time, other statistics 0."""
  logp = jnp.broadcast_to(jnp.float32(logp), batch.mask.shape)
  then = {
    k: logp if is_logp(k) else jnp.zeros_like(v) for k, v in batch.stats.items()
  }
  return batch.replace(old_logp=logp, sample_logp=logp, stats=then)


def is_logp(key: str) -> bool:
  """Whether a Need.key is that of a log-probability."""
  return key.startswith(repr(stats.Logp()))
