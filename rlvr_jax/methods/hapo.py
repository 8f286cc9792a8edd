"""HAPO: sampling, advantages and clip bounds by the entropy of the token."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform, keep, keep_plan
from rlvr_jax.types import Array, Need

SIGNS = ("intended", "code")
ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")
FLOOR = 1e-8  # of an entropy and of a scale
SAMPLER_FLOOR = 1e-6  # the same in the sampler
EPSILON = 1e-6  # of a standard deviation


class HapoState(NamedTuple):
  """The scale of log entropies in the last rollout, for the next one."""

  pivot: Array  # f32[] log nats
  spread: Array  # f32[] root mean square about the pivot
  scale_above: Array  # f32[] 1 / the largest score
  scale_below: Array  # f32[] 1 / |the smallest score|; negative as in "code"
  ready: Array  # bool[] whether there was a rollout


def hapo(
  temperature: bool = True,
  average: bool = True,
  redistribution: bool = True,
  bounds: bool = True,
  pivot: float = 0.8,
  tau: float = 0.05,
  alpha: float = 1.0,
  beta: float = 1.0,
  low: float = 0.2,
  high: float = 0.28,
  sign: str = "intended",
  normalize: bool = True,
  fallback: float | None = 5.0,
  dual: float | None = 10.0,
  scope_rows: int | None = None,
) -> LossTransform:
  """Treats every token by how its entropy compares with the others'.

  Its score s is in [-1, 1]: log H minus the pivot, a quantile of log H,
  over the largest distance on that side. Four parts, each with a switch:
    temperature     T = T_in (1 + tau s) at sampling, on the last step's scale
    average         A = (R - m) / (d + 1e-6), with mean and deviation over all
                    tokens of the group, so long responses weigh more
    bounds          upper 1 + high (1 + alpha s) where s > 0,
                    lower 1 - low (1 - alpha s) elsewhere
    redistribution  A (1 + beta s) where s > 0 and the ratio is outside of
                    half the bounds, or s <= 0 and it is inside; a factor of
                    the weight, which is the same for any clipped surrogate

  Edits:   draws (×, if temperature); batch.advantages (own, if average);
           objective.weights (×, if redistribution); objective.clip_low (own,
           if bounds), objective.clip_high (own, if bounds);
           objective.surrogate (own, if dual)
  Needs:   entropy of the policy at update, for the last two; at rollout, for
           temperature
  State:   none; if temperature pivot, spread, scale_above and scale_below f32[]
           and ready bool[], set at prepare
  Scope:   minibatch; blocks of scope_rows rows if given; group for the average
  Neutral: average off, no dual, alpha = beta = tau = 0, low and high those of
           `loss(clip=...)`

  With scope_rows the order of the rows matters.

  Args:
    temperature: whether tokens are sampled at their own temperature; from the
      second step on.
    average: whether it estimates the advantages.
    redistribution: whether advantages grow and shrink by the score.
    bounds: whether clip bounds move by the score; the redistribution takes
      the bounds at hand if not.
    pivot: share of the tokens below the pivot, in [0, 1]; 0.8.
    tau: strength of the temperature, in [0, 1); 0.05 in the scripts, 0.1 in
      the paper.
    alpha: strength of the bounds, >= 0; 1.
    beta: strength of the redistribution, in [0, 1]; 1.
    low: distance of the lower bound from 1, in [0, 1 / (1 + alpha)]; 0.2.
    high: distance of the upper bound from 1, >= 0; 0.28 in the paper, 0.2 in
      the scripts.
    sign: of s below the pivot: "intended" is negative; "code" is positive, as
      the released code has it, so that tokens of least entropy are treated
      like those of most.
    normalize: whether the average divides by the deviation.
    fallback: groups with a larger or equal |A| of the average take GRPO's
      instead, > 0; None for never (paper), 5.0 in the code.
    dual: bound on the ratio of tokens with negative advantage, > 1; None off;
      10.0.
    scope_rows: rows over which scores of the last two parts are taken, >= 1;
      None for the whole minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "hapo".

  Raises:
    ValueError: an unknown sign, or a number out of range.

  Metrics:
    hapo/pivot: log nats, for the next step; if temperature.
    hapo/fallback_fraction: share of the rows on GRPO's advantage; if average.
    hapo/above_fraction: share of the counted tokens with s > 0; unless both
      bounds and redistribution are off.
    hapo/low: mean distance of the lower bound from 1; if bounds.
    hapo/high: mean distance of the upper bound from 1; if bounds.
    hapo/redistributed_fraction: share of the counted tokens whose advantage
      may change; if redistribution.

  Source:
    From Uniform to Heterogeneous: Tailoring Policy Optimization to Every
    Token's Nature, arXiv 2509.16591, equations 1-13. Code:
    starriver030515/HAPO, verl/trainer/ppo/core_algos.py, compute_entropy_h.
    Differs from that code: the sign below the pivot (sign = "code" restores
    it); scores are of the whole minibatch; the fallback does not look at
    padding. From the paper: the temperature takes the scaled score, as in the
    code.
  """
  if sign not in SIGNS:
    raise ValueError(f"hapo.sign = {sign!r} must be in {SIGNS}.")
  infinite = float("inf")
  ranges = {
    "pivot": (pivot, 0, 1),
    "alpha": (alpha, 0, infinite),
    "beta": (beta, 0, 1),
    "low": (low, 0, 1 / (1 + max(alpha, 0))),
    "high": (high, 0, infinite),
    "scope_rows": (1 if scope_rows is None else scope_rows, 1, infinite),
  }
  for name, (value, least, most) in ranges.items():
    if not least <= value <= most:
      raise ValueError(f"hapo.{name} = {value} must lie in [{least}, {most}].")
  if not 0 <= tau < 1:
    raise ValueError(f"hapo.tau = {tau} must lie in [0, 1).")
  if fallback is not None and not fallback > 0:
    raise ValueError(f"hapo.fallback = {fallback} must be > 0, or None.")
  if dual is not None and not dual > 1:
    raise ValueError(f"hapo.dual = {dual} must be > 1, or None.")
  below_sign = -1.0 if sign == "code" else 1.0
  scores = bounds or redistribution
  surrogate = objective.clipped(dual)

  def measured(entropy, mask):
    """Scores f32[B, T], 0 where nothing counts, and the scale they are on."""
    logs = jnp.log(jnp.maximum(entropy, FLOOR))
    count = mask.sum()
    ordered = jnp.sort(jnp.where(mask, logs, jnp.inf), axis=None)
    # Half to even, like the code.
    at = jnp.round(pivot * (count - 1)).astype(jnp.int32)
    middle = jnp.where(count > 0, ordered[jnp.maximum(at, 0)], 0.0)
    away = jnp.where(mask, logs - middle, 0.0)
    square = (away * away).sum() / jnp.maximum(count, 1)
    spread = jnp.sqrt(jnp.maximum(square, FLOOR))
    away = away / spread
    above = 1 / jnp.maximum(away.max(), FLOOR)
    below = below_sign / jnp.maximum((-away).max(), FLOOR)
    score = away * jnp.where(away > 0, above, below)
    return score, HapoState(middle, spread, above, below, jnp.asarray(True))

  def init(example):
    del example
    one = jnp.float32(1)
    return HapoState(jnp.float32(0), one, one, one, jnp.asarray(False))

  def plan(draws, state):
    main = draws[0]

    def heated(entropy):
      base = main.temperature_at(entropy)
      away = jnp.log(jnp.maximum(entropy, SAMPLER_FLOOR)) - state.pivot
      away = away / (state.spread + SAMPLER_FLOOR)
      scale = jnp.where(away > 0, state.scale_above, state.scale_below)
      score = jnp.clip(away * scale, -1.0, 1.0)
      return jnp.where(state.ready, base * (1 + tau * score), base)

    return main._replace(temperature=heated), *draws[1:]

  def averaged(batch):
    """Advantages f32[B], and which rows have GRPO's."""
    reward, group = batch.reward, batch.group
    tokens = reduce.row_length(batch.mask)
    total = jnp.maximum(reduce.group_sum(tokens, group), 1)
    centred = reward - reduce.group_sum(tokens * reward, group) / total
    square = reduce.group_sum(tokens * centred**2, group) / total
    found = centred / (jnp.sqrt(square) + EPSILON) if normalize else centred
    if fallback is None:
      return found, jnp.zeros_like(group, bool)
    largest = reduce.group_max(jnp.abs(found), group, tokens > 0)
    falls = largest >= fallback
    plain = reward - reduce.group_mean(reward, group)
    if normalize:
      plain = plain / (reduce.group_std(reward, group) + EPSILON)
    return jnp.where(falls, plain, found), falls

  def prepare(batch, state, context):
    metrics = {}
    if temperature:
      main = (batch.source == 0)[:, None]
      entropy = context.stat(ROLLOUT_ENTROPY)
      _, state = measured(entropy, batch.mask & main)
      metrics["hapo/pivot"] = state.pivot
    if average:
      found, falls = averaged(batch)
      own = batch.group >= 0
      share = reduce.masked_mean(falls.astype(jnp.float32), own)
      metrics["hapo/fallback_fraction"] = share
      advantages = jnp.where(
        own[:, None], found[:, None] * batch.mask, batch.advantages
      )
      batch = batch.replace(advantages=advantages)
    return batch.replace(metrics=batch.metrics | metrics), state

  def apply(record, state, context):
    if dual is not None:
      record = record.replace(surrogate=surrogate)
    if not scores:
      return record, state
    mask = record.mask > 0
    score = reduce.in_blocks(
      lambda *block: measured(*block)[0],
      scope_rows,
      jax.lax.stop_gradient(context.stat(ENTROPY)),
      mask,
    )
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
    metrics = {"hapo/above_fraction": mean(score > 0)}
    if bounds:
      lower = low * (1 - alpha * jnp.minimum(score, 0.0))
      upper = high * (1 + alpha * jnp.maximum(score, 0.0))
      metrics |= {"hapo/low": mean(lower), "hapo/high": mean(upper)}
      record = record.replace(clip_low=1 - lower, clip_high=1 + upper)
    if redistribution:
      ratio = jax.lax.stop_gradient(objective.ratio(record))
      inside = ratio > (1 + record.clip_low) / 2
      inside &= ratio < (1 + record.clip_high) / 2
      moves = (score > 0) != inside
      scale = jnp.where(moves, 1 + beta * score, 1.0)
      metrics["hapo/redistributed_fraction"] = mean(moves)
      # 1 + beta s >= 0, so scaling the loss is scaling the advantage.
      record = record.replace(weights=record.weights * scale)
    return record.replace(metrics=record.metrics | metrics), state

  owned = {
    "advantages": average,
    "clip_low": bounds,
    "clip_high": bounds,
    "surrogate": dual is not None,
  }
  needed = {ENTROPY: scores, ROLLOUT_ENTROPY: temperature}
  return LossTransform(
    "hapo",
    init if temperature else lambda example: (),
    apply,
    prepare if temperature or average else keep,
    plan if temperature else keep_plan,
    needs=tuple(need for need, wanted in needed.items() if wanted),
    owns=tuple(field for field, wanted in owned.items() if wanted),
  )
