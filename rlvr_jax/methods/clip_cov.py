"""Clip-Cov: no gradient for a few tokens of high covariance."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.objective import is_clipped
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array

Priority = Callable[[Array, tuple[int, ...]], Array]


def clip_cov(
  fraction: float = 2e-4,
  low: float = 1.0,
  high: float = 5.0,
  scope_rows: int | None = None,
  priority: Priority | None = None,
) -> LossTransform:
  """Drops a few random tokens whose covariance term lies in a window.

  cov = (A - mean A)(log pi - mean log pi) over the counted tokens, held
  constant. Candidates have low < cov < high and are not clipped by PPO; K of
  them, K = max(floor(fraction * counted tokens), 1), lose their policy loss.
  They still count in the denominator. Replayed rows are left alone. The window
  belongs to advantages of unit deviation: with unnormalised ones it may stay
  empty.

  Edits:   objective.weights (×)
  Needs:   nothing
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: low = high leaves the window empty

  The choice is random per position, so two row orders agree in distribution
  only; blocks of scope_rows are of consecutive rows.

  Args:
    fraction: share of the counted tokens that is dropped, in (0, 1]; 2e-4.
    low: lower end of the window, unit of advantage times nats; 1.0.
    high: upper end of the window, same unit, >= low; 5.0.
    scope_rows: rows over which means, K and the choice are taken, >= 1; None
      for the whole minibatch. The code takes its micro-batch.
    priority: (key, shape) to f32[shape]; candidates with the largest are
      dropped. None for uniform random numbers, as published.

  Returns:
    A LossTransform named "clip_cov".

  Raises:
    ValueError: fraction, high or scope_rows out of range.

  Metrics:
    clip_cov/dropped_fraction: share of the counted tokens dropped.
    clip_cov/candidates_fraction: share of the counted tokens in the window.
    clip_cov/covariance: mean of cov, advantage times nats.

  Source:
    Cui et al., The Entropy Mechanism of Reinforcement Learning for Reasoning
    Language Models, arXiv 2505.22617, equations 10-12. Code: volcengine/verl,
    verl/trainer/ppo/core_algos.py, compute_policy_loss_clip_cov; the scripts
    run it with clip ratios of 1.0, a bound for safety only.
    Differs from that code: statistics are of the whole minibatch, not of the
    micro-batch of one rank (scope_rows = k restores that). From the paper: an
    open window, and at least one token, as in the code.
  """
  if not 0 < fraction <= 1:
    raise ValueError(f"clip_cov.fraction = {fraction} must lie in (0, 1].")
  if not low <= high:
    raise ValueError(f"clip_cov.high = {high} must be >= low = {low}.")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"clip_cov.scope_rows = {scope_rows} must be None or >= 1."
    )
  draw = jax.random.uniform if priority is None else priority
  choose = functools.partial(
    reduce.covariance_window, fraction=fraction, low=low, high=high
  )

  def apply(objective, state, context):
    # Of replayed rows `spear` has a clip with bounds of its own.
    sampled = (context.batch.source >= 0)[:, None]
    mask = (objective.mask > 0) & sampled
    cov, candidates, dropped = reduce.in_blocks(
      choose,
      scope_rows,
      objective.advantages,
      jax.lax.stop_gradient(context.logp),
      mask,
      mask & ~is_clipped(objective, context),
      draw(context.key, mask.shape),
    )
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
    metrics = {
      "clip_cov/dropped_fraction": mean(dropped),
      "clip_cov/candidates_fraction": mean(candidates),
      "clip_cov/covariance": mean(cov),
    }
    weights = objective.weights * jnp.where(dropped, 0.0, 1.0)
    return objective.replace(
      weights=weights, metrics=objective.metrics | metrics
    ), state

  return LossTransform("clip_cov", apply=apply)
