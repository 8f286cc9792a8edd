"""KL divergence of next-token distributions over the whole vocabulary.

With d = z - max z, w = exp(d), and the sum of w (d - d') next to those of w and
w', KL(p || p') = sum w (d - d') / sum w - ln sum w + ln sum w', and
  d KL / dz_j = p_j (log p_j - log p'_j - KL),  d KL / dz'_j = p'_j - p_j.
Both distributions are walked through side by side; neither is written out. The
largest logits themselves never enter, so where they lie costs no digits.
"""

import functools
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero, custom_vjp_primal_tree_values

from rlvr_jax.kernels import sharded
from rlvr_jax.kernels.sums import NOTHING
from rlvr_jax.kernels.walk import Block, Setting, Source, Walk
from rlvr_jax.types import Array


class _Sums(NamedTuple):
  """Over some columns of both distributions."""

  tops: Array  # f32[N, 2] largest logits
  totals: Array  # f32[N, 2] of w and w'
  cross: Array  # f32[N, 1] of w (d - d')


class _Known(NamedTuple):
  """What the way back needs of each token."""

  kl: Array  # f32[N, 1]
  tops: Array  # f32[N, 2]
  log_totals: Array  # f32[N, 2]


def divergence(first: Source, second: Source, setting: Setting) -> Array:
  """KL(first || second), nats.

  Args:
    first: of the logits of p.
    second: of those of p'.
    setting: form of both, sizes and layout.

  Returns:
    f32[N, 1], differentiable by hidden states and weights of both.
  """
  return _divergence(setting, (_fixed(first), _fixed(second))).kl


def _fixed(source: Source) -> Source:
  inverse, cut = jax.lax.stop_gradient((source.inverse, source.cut))
  return source._replace(inverse=inverse, cut=cut)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _divergence(setting: Setting, pair: tuple[Source, Source]) -> _Known:
  def of_device(rows, weights, axis):
    add = lambda total, blocks, _: _merge(total, _of_block(*blocks))
    walk = _walk(setting, rows, weights)
    found = walk.fold(add, _start, rows[0].inverse)
    return found if axis is None else _across(found, axis)

  rows, weights = _parts(pair)
  form, layout = setting.form, setting.layout
  tops, totals, cross = sharded.forward(layout, of_device, form, rows, weights)
  log_totals = jnp.log(totals)
  kl = cross / totals[:, :1] - log_totals[:, :1] + log_totals[:, 1:]
  return _Known(jnp.maximum(kl, 0.0), tops, log_totals)


def _parts(pair):
  """What is per token, and the weights."""
  rows = [source._replace(weights=None) for source in pair]
  return rows, [source.weights for source in pair]


def _walk(setting, rows, weights) -> Walk:
  sources = (row._replace(weights=w) for row, w in zip(rows, weights))
  return Walk(tuple(sources), setting.form, setting.blocks)


def _start(like: Array) -> _Sums:
  """The sums over no column."""
  zeros = jnp.zeros((len(like), 2), jnp.float32)
  return _Sums(zeros + NOTHING, zeros, zeros[:, :1])


def _of_block(a: Block, b: Block) -> _Sums:
  greatest = lambda z: jnp.maximum(z.max(axis=-1, keepdims=True), NOTHING)
  tops = [greatest(block.z) for block in (a, b)]
  d, other_d = a.z - tops[0], b.z - tops[1]
  w, other_w = jnp.exp(d), jnp.exp(other_d)
  total = lambda x: x.sum(axis=-1, keepdims=True)
  cross = jnp.where(w > 0, w * (d - other_d), 0.0)
  both = jnp.concatenate([total(w), total(other_w)], axis=1)
  return _Sums(jnp.concatenate(tops, axis=1), both, total(cross))


def _raised(s: _Sums, tops: Array) -> _Sums:
  """The same sums measured from larger logits."""
  e = jnp.exp(s.tops - tops)
  # With no column yet the difference is about 1e30.
  delta = jnp.where(e > 0, s.tops - tops, 0.0)
  moved = (delta[:, :1] - delta[:, 1:]) * s.totals[:, :1]
  return _Sums(tops, e * s.totals, e[:, :1] * (s.cross + moved))


def _merge(one: _Sums, other: _Sums) -> _Sums:
  tops = jnp.maximum(one.tops, other.tops)
  one, other = _raised(one, tops), _raised(other, tops)
  return _Sums(tops, one.totals + other.totals, one.cross + other.cross)


def _across(s: _Sums, axis: str) -> _Sums:
  """Over all devices of an axis: one maximum and one sum travel."""
  tops = jax.lax.pmax(s.tops, axis)
  _, totals, cross = _raised(s, tops)
  both = jax.lax.psum(jnp.concatenate([totals, cross], axis=1), axis)
  return _Sums(tops, both[:, :2], both[:, 2:])


@flax.struct.dataclass
class _Residuals:
  pair: tuple[Source, Source]
  known: _Known
  asked: tuple[tuple[bool, bool], ...] = flax.struct.field(pytree_node=False)


def _remember(setting, pair):
  asked = tuple((s.hidden.perturbed, s.weights.perturbed) for s in pair)
  pair = custom_vjp_primal_tree_values(pair)
  known = _divergence(setting, pair)
  return known, _Residuals(pair, known, asked)


def _pull(setting, r: _Residuals, cotangents: _Known):
  if isinstance(cotangents.kl, SymbolicZero):
    return (None,)

  def of_device(rows, weights, axis):
    del axis
    rows, known = rows
    return _walk(setting, rows, weights).pull(_cotangent, known)

  rows, weights = _parts(r.pair)
  given = rows, (cotangents.kl, r.known)
  form, layout = setting.form, setting.layout
  found = sharded.backward(layout, of_device, form, given, weights)
  terms = zip(r.pair, *found, r.asked)
  return (tuple(_typed(*term) for term in terms),)


def _cotangent(blocks: tuple[Block, Block], known) -> tuple[Array, Array]:
  g, (kl, tops, log_totals) = known
  logp = [
    (b.z - tops[:, k : k + 1]) - log_totals[:, k : k + 1]
    for k, b in enumerate(blocks)
  ]
  p, q = map(jnp.exp, logp)
  gap = jnp.where(p > 0, logp[0] - logp[1], 0.0)
  return g * p * (gap - kl), g * (q - p)


def _typed(source: Source, to_hidden: Array, to_weights: Array, asked):
  """The gradient by a source in its types, as far as it is asked for."""
  return Source(
    to_hidden.astype(source.hidden.dtype) if asked[0] else None,
    to_weights.astype(source.weights.dtype) if asked[1] else None,
    None,
  )


_divergence.defvjp(_remember, _pull, symbolic_zeros=True)
