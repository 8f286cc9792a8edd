"""SIREN: holds the entropy of peak tokens' nuclei where it began."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, stats
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need, TokenBatch

NUCLEI = ("exclusive", "inclusive")


class SirenState(NamedTuple):
  """The entropy to come back to."""

  anchor: Array  # f32[] nats
  ready: Array  # bool[] whether it is known


def siren(
  coef: float = 5e-3,
  top_p: float = 0.8,
  top_k: int = 10_000,
  quantile: float = 0.8,
  nucleus: str = "exclusive",
  strict: bool = True,
  anchor: float | None = None,
  scope_rows: int | None = None,
) -> LossTransform:
  """Pulls the nucleus entropy of the most uncertain tokens to its first value.

  loss += coef (h - anchor)². H is the entropy of the most likely tokens of mass
  up to top_p, renormalised; h_i its mean over the tokens of response i with H
  above the quantile of that response, 0 where there is none, and h the mean of
  h_i over all rows of the main draw. The nucleus and the choice of tokens are
  held constant.

  Edits:   objective.extra (+)
  Needs:   nucleus entropy of the policy at update; at rollout too unless the
           anchor is given
  State:   anchor f32[] nats and ready bool[], set at the first prepare; none
           if the anchor is given
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: coef = 0

  Args:
    coef: weight of the squared error, per nat², >= 0; 5e-3.
    top_p: mass of the nucleus, in (0, 1]; 0.8 in the scripts.
    top_k: most tokens a nucleus may hold, >= 1; 10000.
    quantile: of the entropies of a response, above which its tokens are
      chosen, in [0, 1]; 0.8.
    nucleus: "exclusive" leaves out the token with which the mass reaches top_p
      (code), "inclusive" keeps it (the usual nucleus).
    strict: choose H above the quantile only; without it at the quantile too,
      as the code did up to December 2025.
    anchor: entropy to hold, nats, >= 0; None for h of the first rollout.
    scope_rows: rows over which h is taken, >= 1, the squares being averaged;
      None for the whole minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "siren".

  Raises:
    ValueError: unknown nucleus, or a number out of range.

  Metrics:
    siren/entropy: h, nats.
    siren/anchor: the entropy to come back to, nats.
    siren/selected_fraction: share of the counted tokens of those rows chosen.

  Source:
    Jiang et al., Rethinking Entropy Regularization in Large Reasoning Models,
    arXiv 2509.25133, equation 9. Code: Linn3a/siren, a fork of verl,
    efficient_top_p_sampling and mask_by_quantile.
    Differs from that code: h is of the whole minibatch, not of a micro-batch
    (scope_rows = k restores that); the code adds 1e-12 inside the logarithm and
    to the mass of the nucleus; padding is never chosen, and its rows are no
    rows; tokens as likely as the last one of a nucleus belong to it, where the
    code's sort keeps some of them.
  """
  if nucleus not in NUCLEI:
    raise ValueError(f"siren.nucleus = {nucleus!r} must be in {NUCLEI}.")
  if not coef >= 0:
    raise ValueError(f"siren.coef = {coef} must be >= 0.")
  if not 0 < top_p <= 1:
    raise ValueError(f"siren.top_p = {top_p} must lie in (0, 1].")
  if top_k < 1:
    raise ValueError(f"siren.top_k = {top_k} must be >= 1.")
  if not 0 <= quantile <= 1:
    raise ValueError(f"siren.quantile = {quantile} must lie in [0, 1].")
  if anchor is not None and not anchor >= 0:
    raise ValueError(f"siren.anchor = {anchor} must be None or >= 0.")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(f"siren.scope_rows = {scope_rows} must be None or >= 1.")
  stat = stats.NucleusEntropy(top_p, top_k, nucleus)
  now, then = Need(stat), Need(stat, when="rollout")

  def peaks(nats: Array, mask: Array) -> Array:
    """bool[B, T]: the chosen tokens."""
    nats = jax.lax.stop_gradient(nats)
    bound = reduce.masked_quantile(nats, mask, quantile, axis=1)
    return mask & (nats > bound if strict else nats >= bound)

  def mean(nats: Array, mask: Array, rows: Array) -> Array:
    """f32[B]: h, the same for all rows."""
    own = reduce.row_mean(nats, peaks(nats, mask))
    return jnp.broadcast_to(reduce.masked_mean(own, rows), own.shape)

  def apply(objective, state, context):
    nats, rows = context.stat(now), _rows(context.batch)
    mask = context.batch.mask & rows[:, None]
    goal = state.anchor if anchor is None else jnp.float32(anchor)
    level = reduce.in_blocks(mean, scope_rows, nats, mask, rows)
    error = reduce.masked_mean((level - goal) ** 2, rows)
    error = jnp.where(mask.any(), error, 0)  # No token, no entropy to hold.
    chosen = peaks(nats, mask).astype(jnp.float32)
    metrics = {
      "siren/entropy": reduce.masked_mean(level, rows),
      "siren/anchor": goal,
      "siren/selected_fraction": reduce.masked_mean(chosen, mask),
    }
    return objective.replace(
      extra=objective.extra + coef * error,
      metrics=objective.metrics | metrics,
    ), state

  if anchor is not None:
    return LossTransform("siren", apply=apply, needs=(now,))

  def init(example):
    del example
    return SirenState(jnp.float32(0.0), jnp.asarray(False))

  def prepare(batch, state, context):
    rows = _rows(batch)
    level = mean(context.stat(then), batch.mask & rows[:, None], rows)
    first = reduce.masked_mean(level, rows)
    first = jnp.where(state.ready, state.anchor, first)
    return batch, SirenState(first, jnp.asarray(True))

  return LossTransform("siren", init, apply, prepare, needs=(now, then))


def _rows(batch: TokenBatch) -> Array:
  """bool[B]: rows of the main draw that are no padding."""
  live = (batch.group >= 0) | batch.mask.any(axis=1)
  return live & (batch.source == 0)
