"""Agentic AEPO: forks, gradient past the clip bound, advantages by entropy."""

import functools
import math
from typing import get_args

import jax
import jax.numpy as jnp

from rlvr_jax import branching, forking, objective, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform, keep, keep_plan
from rlvr_jax.types import Need

ENTROPY = Need(Entropy())


def agentic_aepo(
  clipping: bool = True,
  advantages: bool = True,
  low: float = 0.2,
  high: float = 0.2,
  dual: float | None = 3.0,
  coef: float = 0.2,
  limit: float | None = None,
  scope_rows: int | None = None,
  branches: int = 0,
  dynamic: bool = True,
  threshold: float = 0.5,
  weight: float = 0.2,
  penalty: float = 0.05,
  slope: float = 0.5,
  mode: str = "paper_fixed",
) -> LossTransform:
  """Keeps the gradient of tokens that rose far; weighs tokens by entropy.

  PPO's loss has no gradient where A > 0 and r > 1 + high. Here it has the value
  it has there, and the slope of 1 + high:
    d loss_t / d log pi = -A (1 + high)   A > 0, r > 1 + high
                          0               A < 0, r < 1 - low or r > dual
                          -A r            elsewhere
  Before that A' = A (1 + coef z), z = (H - mean H) / std H over counted tokens
  (ddof 1), held constant; 0 where all H are equal. A token with z < -1 / coef
  changes the sign of its advantage.

  Responses of the main draw, the roots, have `branches` more rows, as those of
  "arpo". One may fork off where a line ends, in the first of these rounds with
  the chance
    1 - threshold + weight (H - H_1), cut to [0, 1]
  and with less by `branching.forks_in_turn` for each round before it, one after
  the other, in which the root forked. If dynamic, `branching.root_budget` says
  how many rows of a root, itself included, are begun anew.

  Edits:   draws (+, if branches > 0); objective.advantages (×, if advantages);
           objective.clip_low (own, if clipping), objective.clip_high (own, if
           clipping), objective.surrogate (own, if clipping)
  Needs:   nothing; entropy of the policy at update if advantages, at rollout if
           branches > 0
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: clipping = advantages = False, branches = 0

  With scope_rows the order of the rows matters.

  Args:
    clipping: whether it sets the surrogate and its bounds; low, high and dual
      act with it only. Without it "ppo_clip" may set them.
    advantages: whether the entropy weighs the advantages.
    low: the ratio's lower bound is 1 - low, in [0, 1]; 0.2.
    high: the ratio's upper bound is 1 + high, >= 0, finite; 0.2.
    dual: bound on the ratio of tokens with negative advantage, > 1; None off;
      3.0.
    coef: strength of the weighing, >= 0, finite; 0.2.
    limit: z is kept in [-limit, limit], > 0; None off, as published. No
      advantage changes its sign if coef * limit < 1.
    scope_rows: rows over which H is averaged, >= 1; None for the whole
      minibatch. The code takes its micro-batch.
    branches: rows of a root besides itself, >= 0; 1, for 6 roots and 12 rows
      of a prompt.
    dynamic: whether forks leave a part of the budget to new responses; else
      only what finds no line to fork off is new.
    threshold: chance not to fork without a rise, in (0, 1]; 0.5.
    weight: chance per rise, >= 0, finite; 0.2.
    penalty: what each round takes, >= 0, finite; 0.05.
    slope: how far the entropy of the first line, less the mean of all, moves
      the budget, >= 0, finite; 0.5.
    mode: of the entropy H of a line, see "arpo".

  Returns:
    A LossTransform named "agentic_aepo".

  Raises:
    ValueError: a number out of range, or an unknown mode.

  Metrics:
    agentic_aepo/kept_fraction: share of the counted tokens past the upper
      bound whose gradient PPO would drop; if clipping.
    agentic_aepo/dual_fraction: share of the counted tokens that the dual clip
      stops; if clipping and dual.
    agentic_aepo/flipped_fraction: share of the counted tokens whose advantage
      changes its sign; if advantages.
    agentic_aepo/branched_fraction: share of the branches that are forks, not
      new responses; if branches > 0.
    agentic_aepo/branch_entropy: what the mode looks at, nats, at the first
      tokens that forks sample; if branches > 0.

  Source:
    Agentic Entropy-Balanced Policy Optimization, arXiv 2510.14545. Code:
    RUC-NLPIR/ARPO, AEPO/verl_aepo_entropy.
    Differs from that code: mean and deviation of H are of the whole minibatch,
    not of a micro-batch (scope_rows = k restores that); where all H are equal
    z is 0, not what rounding leaves. Readers of that code report that its
    scripts never compute the entropy, so that the weighing does nothing there.
    Rounds and budget are a root's, there a prompt's: so a root decides when it
    ends and no row waits for another. It measures its own entropies, where the
    code samples another response for that. Segments are lines, as in "arpo".
  """
  if not 0 <= low <= 1:
    raise ValueError(f"agentic_aepo.low = {low} must lie in [0, 1].")
  for name, value in (
    ("high", high),
    ("coef", coef),
    ("weight", weight),
    ("penalty", penalty),
    ("slope", slope),
  ):
    if not 0 <= value < math.inf:
      raise ValueError(
        f"agentic_aepo.{name} = {value} must be >= 0 and finite."
      )
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"agentic_aepo.scope_rows = {scope_rows} must be None or >= 1."
    )
  if dual is not None and not dual > 1:
    raise ValueError(f"agentic_aepo.dual = {dual} must be > 1, or None.")
  if limit is not None and not limit > 0:
    raise ValueError(f"agentic_aepo.limit = {limit} must be > 0, or None.")
  if branches < 0:
    raise ValueError(f"agentic_aepo.branches = {branches} must be >= 0.")
  if not 0 < threshold <= 1:
    raise ValueError(
      f"agentic_aepo.threshold = {threshold} must lie in (0, 1]."
    )
  if mode not in get_args(branching.Mode):
    raise ValueError(
      f"agentic_aepo.mode = {mode!r} must be in {get_args(branching.Mode)}."
    )
  clipped = objective.clipped(dual)
  need = forking.NEEDS[mode]
  decides = functools.partial(
    branching.forks_in_turn, threshold=threshold, weight=weight, penalty=penalty
  )

  def cut(parent, n):
    of, most = forking.segments(parent, mode), n
    if dynamic:
      anew = branching.root_budget(n + 1, of.entropy[0], of.mean, slope)
      most = n + 1 - anew
    dice = jax.random.uniform(parent.key, (len(of.begins), 1))
    forks = forking.in_turn(decides, dice, of.rise(), of.forks)
    return forking.places(forks, n, most)

  def plan(draws, state):
    return forking.planned(draws, "agentic_aepo", branches, cut)

  def prepare(batch, state, context):
    found = forking.metrics(context, "agentic_aepo", need)
    return batch.replace(metrics=batch.metrics | found), state

  def surrogate(record, context):
    ratio = objective.ratio(record)
    held = jax.lax.stop_gradient(ratio)
    # Exactly 1; its slope is that of log pi.
    one = 1 + (ratio - held) / held
    return clipped(record.replace(clip_high=record.clip_high * one), context)

  def score(nats, mask):
    """f32[B, T]: z."""
    mean = reduce.masked_mean(nats, mask)
    std = jnp.sqrt(reduce.masked_var(nats, mask, ddof=1))
    # Rounding of the mean of equal numbers is no deviation.
    equal = reduce.masked_max(nats, mask) == reduce.masked_min(nats, mask)
    z = (nats - mean) / jnp.where(std > 0, std, 1)
    z = jnp.where(mask & ~equal, z, 0)
    return z if limit is None else jnp.clip(z, -limit, limit)

  def share(chosen, record):
    return reduce.masked_mean(chosen.astype(jnp.float32), record.mask)

  def weighed(record, context):
    counted = record.mask > 0
    z = reduce.in_blocks(score, scope_rows, context.stat(ENTROPY), counted)
    scale = 1 + coef * z
    flips = (scale < 0) & (record.advantages != 0)
    metrics = {"agentic_aepo/flipped_fraction": share(flips, record)}
    return record.replace(
      advantages=record.advantages * scale, metrics=record.metrics | metrics
    )

  def bounded(record):
    record = record.replace(
      clip_low=jnp.full_like(record.clip_low, 1 - low),
      clip_high=jnp.full_like(record.clip_high, 1 + high),
      surrogate=surrogate,
    )
    ratio = objective.ratio(record)
    kept = (record.advantages > 0) & (ratio > 1 + high)
    metrics = {"agentic_aepo/kept_fraction": share(kept, record)}
    if dual is not None:
      stopped = (record.advantages < 0) & (ratio > dual)
      metrics["agentic_aepo/dual_fraction"] = share(stopped, record)
    return record.replace(metrics=record.metrics | metrics)

  def apply(record, state, context):
    record = weighed(record, context) if advantages else record
    return bounded(record) if clipping else record, state

  needed = {ENTROPY: advantages, need: branches > 0}
  return LossTransform(
    "agentic_aepo",
    apply=apply,
    prepare=prepare if branches else keep,
    plan=plan if branches else keep_plan,
    needs=tuple(need for need, wanted in needed.items() if wanted),
    owns=("clip_low", "clip_high", "surrogate") if clipping else (),
  )
