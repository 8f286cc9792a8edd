"""KL divergence of next-token distributions over the whole vocabulary.

With w = exp(z - max z) and the sum of w (z - z') next to that of w,
KL(p || p') = sum w (z - z') / sum w - L + L', and
  d KL / dz_j = p_j (log p_j - log p'_j - KL),  d KL / dz'_j = p'_j - p_j.
Both distributions are walked through side by side; neither is written out.
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
  totals: Array  # f32[N, 2] of exp(z - top)
  cross: Array  # f32[N, 1] of exp(z - top) (z - z')


class _Known(NamedTuple):
  """What the way back needs of each token."""

  kl: Array  # f32[N, 1]
  log_z: Array  # f32[N, 2]


def divergence(
  first: Source, second: Source, inverse: Array, setting: Setting
) -> Array:
  """KL(first || second), nats.

  Args:
    first: hidden states f[N, D], weights and cut of p.
    second: the same of p'.
    inverse: f32[N, 1] 1 / temperature, of both.
    setting: form of both, sizes and layout.

  Returns:
    f32[N, 1], differentiable by hidden states and weights of both.
  """
  fixed = lambda s: s._replace(cut=jax.lax.stop_gradient(s.cut))
  inverse = jax.lax.stop_gradient(inverse)
  return _divergence(setting, (fixed(first), fixed(second)), inverse).kl


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _divergence(
  setting: Setting, pair: tuple[Source, Source], inverse: Array
) -> _Known:
  def of_device(rows, weights, axis):
    walk = _walk(setting, rows, weights)
    start = lambda inverse: _Sums(
      jnp.full((len(inverse), 2), NOTHING),
      jnp.zeros((len(inverse), 2)),
      jnp.zeros((len(inverse), 1)),
    )
    add = lambda total, blocks, _: _merge(total, _of_block(*blocks))
    found = walk.fold(add, start, walk.inverse)
    return found if axis is None else _across(found, axis)

  rows, weights = _parts(pair, inverse)
  form, layout = setting.form, setting.layout
  tops, totals, cross = sharded.forward(layout, of_device, form, rows, weights)
  log_z = tops + jnp.log(totals)
  kl = cross / totals[:, :1] - log_z[:, :1] + log_z[:, 1:]
  return _Known(jnp.maximum(kl, 0.0), log_z)


def _parts(pair, inverse):
  """What is per token, and the weights."""
  given = [(source.hidden, source.cut) for source in pair]
  return (given, inverse), [source.weights for source in pair]


def _walk(setting, rows, weights) -> Walk:
  given, inverse = rows
  sources = tuple(Source(h, w, cut) for (h, cut), w in zip(given, weights))
  return Walk(sources, inverse, setting.form, setting.blocks)


def _of_block(a: Block, b: Block) -> _Sums:
  greatest = lambda z: jnp.maximum(z.max(axis=-1, keepdims=True), NOTHING)
  tops = [greatest(block.z) for block in (a, b)]
  w, v = jnp.exp(a.z - tops[0]), jnp.exp(b.z - tops[1])
  gap = jnp.where(w > 0, a.z - b.z, 0.0)
  total = lambda x: x.sum(axis=-1, keepdims=True)
  both = jnp.concatenate([total(w), total(v)], axis=1)
  return _Sums(jnp.concatenate(tops, axis=1), both, total(w * gap))


def _raised(s: _Sums, tops: Array) -> _Sums:
  """The same sums measured from other largest logits."""
  e = jnp.exp(s.tops - tops)
  return _Sums(tops, e * s.totals, e[:, :1] * s.cross)


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
  inverse: Array
  known: _Known
  asked: tuple[tuple[bool, bool], ...] = flax.struct.field(pytree_node=False)


def _remember(setting, pair, inverse):
  asked = tuple((s.hidden.perturbed, s.weights.perturbed) for s in pair)
  pair, inverse = custom_vjp_primal_tree_values((pair, inverse))
  known = _divergence(setting, pair, inverse)
  return known, _Residuals(pair, inverse, known, asked)


def _pull(setting, r: _Residuals, cotangents: _Known):
  if isinstance(cotangents.kl, SymbolicZero):
    return None, None

  def of_device(rows, weights, axis):
    del axis
    rows, known = rows
    found = _walk(setting, rows, weights).pull(_cotangent, known)
    return [s.hidden for s in found], [s.weights for s in found]

  rows, weights = _parts(r.pair, r.inverse)
  given = rows, (cotangents.kl, r.known)
  form, layout = setting.form, setting.layout
  found = sharded.backward(layout, of_device, form, given, weights)
  terms = zip(r.pair, *found, r.asked)
  return tuple(_typed(*term) for term in terms), None


def _cotangent(blocks: tuple[Block, Block], known) -> tuple[Array, Array]:
  g, (kl, log_z) = known
  logp = [b.z - log_z[:, k : k + 1] for k, b in enumerate(blocks)]
  p, q = map(jnp.exp, logp)
  gap = jnp.where(p > 0, logp[0] - logp[1], 0.0)
  return g * p * (gap - kl), g * (q - p)


def _typed(source: Source, to_hidden: Array, to_weights: Array, asked):
  """The gradient by a source in its types, as far as it is asked for."""
  return Source(
    to_hidden.astype(source.hidden.dtype) if asked[0] else None,
    to_weights.astype(source.weights.dtype) if asked[1] else None,
  )


_divergence.defvjp(_remember, _pull, symbolic_zeros=True)
