"""Logits that part likely tokens from unlikely ones, without a sort.

The mass and the number of the tokens above a bound fall as the bound rises, so
the bound of a nucleus can be bracketed: each walk over the vocabulary tries
`STEPS` bounds at once and leaves one of the STEPS + 1 gaps between them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import sharded, sums
from rlvr_jax.kernels.logits import Keep
from rlvr_jax.kernels.sums import NOTHING
from rlvr_jax.kernels.walk import Setting, Source, Walk
from rlvr_jax.types import Array

STEPS, WALKS = 8, 8  # 9^8 parts of at most RANGE nats
RANGE = 110.0  # exp(-110) is 0 in float32
ROUNDING = 2e-6  # of logits, relative, between two ways to compute them


class _Tried(NamedTuple):
  """Tokens at least as likely as a bound."""

  mass: Array  # f32[N, STEPS], as a sum of exp(z - top)
  count: Array  # f32[N, STEPS], exact up to 2^24


class _Bracket(NamedTuple):
  """Two bounds around the one that is looked for; f32[N, 1] each."""

  low: Array  # keeps too much
  high: Array  # does not
  mass: Array  # that `high` keeps, as a sum of exp(z - top)
  count: Array  # of the tokens that `high` keeps


def least_logit(source: Source, keep: Keep, setting: Setting) -> Array:
  """A bound that parts a nucleus from all less likely tokens.

  Tokens as likely as the last one of the nucleus belong to it, and so does the
  likeliest of all. Logits z closer than about 2e-6 (1 + |z|) may count as
  equal. It takes a walk for the sum of all probabilities, WALKS more to find
  the bound and one to put it between two tokens.

  Args:
    source: of the logits.
    keep: what belongs to the nucleus.
    setting: form, sizes and layout.

  Returns:
    f32[N, 1]; of tokens of probability 0 it may keep fewer.
  """
  find = functools.partial(_find, keep=keep, setting=setting)
  return _everywhere(find, source, setting)


def lowest_logit(source: Source, setting: Setting) -> Array:
  """f32[N, 1]: the smallest logit; arguments as of `least_logit`."""

  def add(low, blocks, _):
    (b,) = blocks
    z = jnp.where(b.column >= 0, b.z, jnp.inf)
    return jnp.minimum(low, z.min(axis=-1, keepdims=True))

  def find(given, weights, axis):
    walk = _walk(given, weights, setting)
    start = lambda like: jnp.full_like(like, jnp.inf)
    low = walk.fold(add, start, given.inverse)
    return low if axis is None else jax.lax.pmin(low, axis)

  return _everywhere(find, source, setting)


def _everywhere(find, source, setting) -> Array:
  source = jax.lax.stop_gradient(source)
  given, form = source._replace(weights=None), setting.form
  return sharded.forward(setting.layout, find, form, given, source.weights)


def _walk(given, weights, setting) -> Walk:
  sources = (given._replace(weights=weights),)
  return Walk(sources, setting.form, setting.blocks)


def _find(given, weights, axis, *, keep: Keep, setting: Setting) -> Array:
  """`least_logit` on one device of an axis."""
  walk = _walk(given, weights, setting)
  top, total = _extent(walk, axis)
  whole = total * keep.mass

  def narrow(bracket, _):
    share = jnp.arange(1, STEPS + 1, dtype=jnp.float32) / (STEPS + 1)
    bounds = bracket.low + (bracket.high - bracket.low) * share
    tried = _try(walk, axis, top, bounds)
    fits = (tried.mass < whole) & (tried.count <= keep.count)
    return _narrowed(bracket, bounds, tried, fits), None

  first = _first(top, total, keep, setting.form.vocabulary(weights), axis)
  b, _ = jax.lax.scan(narrow, first, length=WALKS)
  last, after = _edge(walk, axis, b.high)
  # The next token crosses. It belongs to an inclusive nucleus; to another one
  # if it alone would fit, so that only its equals make it too much. Where not
  # even the likeliest tokens fit, nothing else does.
  more = b.mass if keep.inclusive else b.mass + jnp.exp(after - top)
  joins = (more < whole) & (b.count < keep.count) & (b.high < first.high)
  below = after - ROUNDING * (1 + jnp.abs(after))
  return jnp.where(joins, below, (last + after) / 2)


def _first(top, total, keep, columns, axis) -> _Bracket:
  """From a tail that is too light to matter up to the likeliest tokens.

  How much these weigh is not known; it is not read until a bound has fitted.
  """
  columns *= 1 if axis is None else jax.lax.axis_size(axis)
  depth = jnp.full_like(top, RANGE)
  if keep.mass < 1:
    tail = jnp.log(columns / ((1 - keep.mass) * total))
    depth = jnp.minimum(tail + 1, RANGE)
  zero = jnp.zeros_like(top)
  high = top - ROUNDING * (1 + jnp.abs(top))
  return _Bracket(top - depth, high, zero, zero)


def _extent(walk: Walk, axis: str | None) -> tuple[Array, Array]:
  """The largest logit, and the sum of exp(z - top); f32[N, 1]."""

  def add(found, blocks, _):
    (b,) = blocks
    nobody = jnp.zeros(b.z.shape, bool)
    return sums.merge(found, sums.of_block(b.z, nobody, ()))

  start = lambda like: sums.start(like.shape, ())
  found = walk.fold(add, start, walk.sources[0].inverse)
  found = found if axis is None else sums.across(found, axis)
  return found.top, found.s0


def _try(walk: Walk, axis: str | None, top: Array, bounds: Array) -> _Tried:
  """What each of the bounds f32[N, STEPS] keeps."""

  def add(found, blocks, known):
    (b,), (top, bounds) = blocks, known
    w = jnp.where(b.column >= 0, jnp.exp(b.z - top), 0.0)
    one = (w > 0).astype(jnp.float32)
    # One bound after the other: an array [rows, columns, STEPS] would be made.
    kept = [b.z >= bounds[:, k : k + 1] for k in range(STEPS)]
    each = lambda x: [jnp.where(k, x, 0.0).sum(axis=1) for k in kept]
    total = lambda x: jnp.stack(each(x), axis=1)
    return _Tried(found.mass + total(w), found.count + total(one))

  start = lambda known: _Tried(*(jnp.zeros_like(known[1]),) * 2)
  found = walk.fold(add, start, (top, bounds))
  if axis is None:
    return found
  return _Tried(*jax.lax.psum(jnp.stack(found), axis))


def _narrowed(
  old: _Bracket, bounds: Array, tried: _Tried, fits: Array
) -> _Bracket:
  """The gap between the last bound that keeps too much and the next one."""
  best = lambda x, old: jnp.maximum(
    jnp.where(fits, x, old).max(axis=1, keepdims=True), old
  )
  return _Bracket(
    jnp.where(fits, old.low, bounds).max(axis=1, keepdims=True),
    jnp.where(fits, bounds, old.high).min(axis=1, keepdims=True),
    best(tried.mass, old.mass),
    best(tried.count, old.count),
  )


def _edge(walk: Walk, axis: str | None, bound: Array) -> tuple[Array, Array]:
  """The least logit above a bound, and the largest one below it."""

  def add(found, blocks, bound):
    (b,), (last, after) = blocks, found
    above = jnp.where(b.z >= bound, b.z, jnp.inf)
    below = jnp.where(b.z >= bound, NOTHING, b.z)
    return (
      jnp.minimum(last, above.min(axis=1, keepdims=True)),
      jnp.maximum(after, below.max(axis=1, keepdims=True)),
    )

  start = lambda bound: (
    jnp.full_like(bound, jnp.inf),
    jnp.full_like(bound, NOTHING),
  )
  last, after = walk.fold(add, start, bound)
  if axis is None:
    return last, after
  return jax.lax.pmin(last, axis), jax.lax.pmax(after, axis)
