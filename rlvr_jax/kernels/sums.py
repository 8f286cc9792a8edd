"""Running sums over the vocabulary, from which every moment follows.

For logits z and a running maximum m, with d = z - m <= 0 and w = exp(d), the
sums of w, w d, w d^2, w^2 and w^2 d give all of `Moments` but the energy,
which leaves the target out of two of them. Two sets of sums merge by bringing
both to one maximum, so the vocabulary can be cut into blocks and dealt to
devices in any way.
"""

from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, Moments

NOTHING = -1e30  # logit of a column that does not exist
OUTPUTS = (
  "logp",
  "log_z",
  "entropy",
  "varentropy",
  "sum_p2",
  "cov_p_logp",
  "max_prob",
  "energy",
)


class Sums(NamedTuple):
  """Sums over some columns, f32[...] each; None where nobody asked."""

  top: Array  # largest logit m
  chosen: Array  # logit of the target, if it is among the columns, else 0
  s0: Array  # sum w
  s1: Array  # sum w d
  s2: Array | None  # sum w d^2
  q0: Array | None  # sum w^2
  q1: Array | None  # sum w^2 d
  o0: Array | None  # sum w of the other columns than the target's
  o2: Array | None  # sum w^2 of those


def start(shape: tuple[int, ...], outputs: Collection[str]) -> Sums:
  """The sums over no column."""
  zero = jnp.zeros(shape, jnp.float32)
  square = zero if {"sum_p2", "cov_p_logp", "energy"} & set(outputs) else None
  others = zero if "energy" in outputs else None
  return Sums(
    top=jnp.full(shape, NOTHING, jnp.float32),
    chosen=zero,
    s0=zero,
    s1=zero,
    s2=zero if "varentropy" in outputs else None,
    q0=square,
    q1=zero if "cov_p_logp" in outputs else None,
    o0=others,
    o2=others,
  )


def _optional(fn, *terms: Array | None) -> Array | None:
  """Applies fn to the terms; None if one of them was not asked for."""
  return None if any(t is None for t in terms) else fn(*terms)


def raised(sums: Sums, top: Array) -> Sums:
  """The same sums measured from a maximum that is at least theirs."""
  e = jnp.exp(sums.top - top)
  # With no column yet the difference is about 1e30 and its square infinite.
  delta = jnp.where(e > 0, sums.top - top, 0.0)
  s0, s1, q0 = sums.s0, sums.s1, sums.q0
  grown = lambda s2: e * (s2 + delta * (2 * s1 + delta * s0))
  return Sums(
    top=top,
    chosen=sums.chosen,
    s0=e * s0,
    s1=e * (s1 + delta * s0),
    s2=_optional(grown, sums.s2),
    q0=_optional(lambda q: e * e * q, q0),
    q1=_optional(lambda q1, q0: e * e * (q1 + delta * q0), sums.q1, q0),
    o0=_optional(lambda o: e * o, sums.o0),
    o2=_optional(lambda o: e * e * o, sums.o2),
  )


def merge(one: Sums, other: Sums) -> Sums:
  """The sums over the columns of both."""
  top = jnp.maximum(one.top, other.top)
  one, other = raised(one, top), raised(other, top)
  return jax.tree.map(jnp.add, one, other)._replace(top=top)


def across(sums: Sums, axis: str) -> Sums:
  """The sums over the columns of all devices of a mesh axis.

  One maximum and one sum of the stacked numbers travel.
  """
  top = jax.lax.pmax(sums.top, axis)
  leaves, tree = jax.tree.flatten(raised(sums, top)._replace(top=None))
  total = jax.lax.psum(jnp.stack(leaves), axis)
  return jax.tree.unflatten(tree, list(total))._replace(top=top)


def terms(
  z: Array, is_target: Array, top: Array, outputs: Collection[str]
) -> Sums:
  """What each column adds to the sums, measured from `top`.

  Args:
    z: f32[...] finite logits; NOTHING for columns that do not exist.
    is_target: bool[...] where the target stands.
    top: f32[...] at least as large as z.
    outputs: names of the moments that will be asked.

  Returns:
    Sums, f32[...] each; its `top` is None.
  """
  asked = start((), outputs)
  d = z - top  # finite, so that w d and (w d) d are 0 where w is
  w = jnp.exp(d)
  wd, w2 = w * d, w * w
  other = lambda x: jnp.where(is_target, 0.0, x)
  return Sums(
    top=None,
    chosen=jnp.where(is_target, z, 0.0),
    s0=w,
    s1=wd,
    s2=None if asked.s2 is None else wd * d,
    q0=None if asked.q0 is None else w2,
    q1=None if asked.q1 is None else w * wd,
    o0=None if asked.o0 is None else other(w),
    o2=None if asked.o2 is None else other(w2),
  )


def of_block(z: Array, is_target: Array, outputs: Collection[str]) -> Sums:
  """The sums over the columns of f32[N, v] logits; f32[N, 1] each."""
  top = jnp.maximum(jnp.max(z, axis=-1, keepdims=True), NOTHING)
  each = terms(z, is_target, top, outputs)
  total = lambda x: jnp.sum(x, axis=-1, keepdims=True)
  return jax.tree.map(total, each)._replace(top=top)


def moments(sums: Sums, outputs: Collection[str], vocabulary: int) -> Moments:
  """The closed forms.

  Args:
    sums: over the whole vocabulary.
    outputs: names of the moments to give; the others are None.
    vocabulary: its size V.

  Returns:
    Moments, each of the shape of the sums.
  """
  top, chosen, s0, s1, s2, q0, q1, o0, o2 = sums
  log_s0, mean = jnp.log(s0), s1 / s0
  above = lambda x: jnp.maximum(x, 0.0)
  forms = {
    "logp": lambda: chosen - top - log_s0,
    "log_z": lambda: top + log_s0,
    "entropy": lambda: log_s0 - mean,  # both are of one sign
    "varentropy": lambda: above(s2 / s0 - mean * mean),
    "sum_p2": lambda: q0 / (s0 * s0),
    "cov_p_logp": lambda: above((q1 - mean * q0) / (s0 * s0)),
    "max_prob": lambda: 1.0 / s0,
    "energy": lambda: (o0 * o0 + o2) / (s0 * s0),
  }
  found = {k: form() if k in outputs else None for k, form in forms.items()}
  return Moments(**found, vocabulary=vocabulary)
