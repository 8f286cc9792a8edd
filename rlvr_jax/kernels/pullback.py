"""The gradient of all moments by the logits, one expression per column.

With t_j = log p_j + H, the cotangents g of the moments give
  dz_j = p_j (a0 + a1 t_j + a2 t_j^2 + p_j (b0 + b1 t_j)) + g_logp [j = target].
The five factors are numbers per token; those of cotangents that are not there
are None, and their terms are not computed.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax.kernels.sums import OUTPUTS
from rlvr_jax.types import Array, Moments

DIFFERENTIABLE = tuple(name for name in OUTPUTS if name != "max_prob")


class Factors(NamedTuple):
  """What the expression is made of, f32[N, 1] each; None: no such term."""

  log_z: Array
  entropy: Array | None
  target: Array | None  # g_logp
  a0: Array | None
  a1: Array | None
  a2: Array | None
  b0: Array | None
  b1: Array | None


def _total(*terms: Array | None) -> Array | None:
  """The sum of the terms that are there."""
  there = [t for t in terms if t is not None]
  return sum(there[1:], there[0]) if there else None


def _spread(given, m: Moments) -> dict[str, Array | None]:
  """The cotangents, that of the energy 1 - 2 p + sum p^2 as those of both."""
  g = {name: given.get(name) for name in DIFFERENTIABLE}
  if g["energy"] is not None:
    g["logp"] = _total(g["logp"], -2 * jnp.exp(m.logp) * g["energy"])
    g["sum_p2"] = _total(g["sum_p2"], g["energy"])
  return g


def factors(given: Mapping[str, Array | None], m: Moments) -> Factors:
  """The factors of a pullback.

  Args:
    given: cotangents f32[N, 1] by the name of the moment; None or left out if
      there is none.
    m: the moments, f32[N, 1] each.

  Returns:
    Factors.
  """
  g = _spread(given, m)
  times = lambda name, fn: None if g[name] is None else g[name] * fn()
  cov = lambda fn: times("cov_p_logp", fn)
  curved = ("entropy", "varentropy", "cov_p_logp")
  return Factors(
    log_z=m.log_z,
    entropy=m.entropy if any(g[n] is not None for n in curved) else None,
    target=g["logp"],
    a0=_total(
      times("logp", lambda: -1.0),
      g["log_z"],
      times("varentropy", lambda: -m.varentropy),
      times("sum_p2", lambda: -2 * m.sum_p2),
      cov(lambda: -(m.sum_p2 + 2 * m.cov_p_logp)),
    ),
    a1=_total(
      times("entropy", lambda: -1.0),
      times("varentropy", lambda: 2.0),
      cov(lambda: -m.sum_p2),
    ),
    a2=g["varentropy"],
    b0=_total(times("sum_p2", lambda: 2.0), g["cov_p_logp"]),
    b1=cov(lambda: 2.0),
  )


def of_block(z: Array, is_target: Array, f: Factors) -> Array:
  """The cotangent of a block of logits.

  Args:
    z: f32[N, v] logits; -1e30 or -inf for columns that do not exist, which
      get 0.
    is_target: bool[N, v] where the target stands.
    f: Factors of the tokens.

  Returns:
    f32[N, v].
  """
  logp = z - f.log_z
  p = jnp.exp(logp)
  inner = f.a0
  if f.b0 is not None:
    inner = _total(inner, p * f.b0)
  if f.entropy is not None:
    t = jnp.where(p > 0, logp + f.entropy, 0.0)
    slope = _total(f.a1, None if f.a2 is None else f.a2 * t)
    slope = _total(slope, None if f.b1 is None else p * f.b1)
    inner = _total(inner, t * slope)
  dz = 0.0 if inner is None else p * inner
  if f.target is None:
    return dz + jnp.zeros_like(z)
  return dz + jnp.where(is_target, f.target, 0.0)
