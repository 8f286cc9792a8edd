"""CANON: advantages against the two halves of a group, split by a metric."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

METRICS = ("entropy", "length", "random")
# Largest and smallest weight of the intra part, and whether it is turned round.
COSINES = {"cosine": (0.6, 0.0, False), "cosine_r": (1.0, 0.4, True)}
SCHEDULES = (None, "anneal", *COSINES)
SIDES = (None, "high", "low")
ENTROPY = Need(Entropy(), when="rollout")


def canon(
  metric: str = "entropy",
  mix: float = 0.5,
  schedule: str | None = None,
  scale: float = 1.0,
  offset: float = 0.0,
  scale_side: str | None = None,
  steps: int = 150,
  warmup: int = 30,
  cycles: int = 3,
) -> LossTransform:
  """Judges a response against the other half of its group and its own half.

  The rows of a group, sorted by the metric, fall into a low half of
  floor(G / 2) rows and a high one. With m_own and m_other the mean rewards,
    inter = scale R - m_other + offset   rows of the half scale_side
            R - scale m_other - offset   rows of the other half
    A = mix inter + (1 - mix)(R - m_own)
  where the offset has + in the high and - in the low half. The half that earns
  more is favoured, whichever it is. A group of one has both means 0.

  Edits:   batch.advantages (own)
  Needs:   nothing; entropy of the policy at rollout if metric = "entropy"
  State:   none
  Scope:   group; step with schedule = "anneal"
  Neutral: none; mix = 0.5 with equal halves is Dr.GRPO

  Rows with the same metric are split by their place, the earlier one into the
  low half; "random" splits by place alone. So the order of rows may matter.

  Args:
    metric: "entropy", mean of a response's token entropies; "length", its
      counted tokens; "random", its place in the batch, a control.
    mix: the paper's mu, share of the inter part, in [0, 1]; 1 "Inter", 0
      "Intra", 0.5 is Dr.GRPO. Not read with a schedule.
    schedule: None; "anneal": mix is the mean reward of the rollout; "cosine":
      1 - mix warms up to 0.6 and falls to 0 in cycles; "cosine_r": mix warms
      up to 1 and falls to 0.4 in cycles.
    scale: the paper's alpha, >= 0; 1, in CANON-Eff 0.9 with metric "length",
      which prefers short responses.
    offset: the code's beta, unit of the reward; 0.
    scale_side: half whose rewards are scaled, "high" or "low"; None for
      "low" with "entropy", else "high", as in the code.
    steps: length of the cosine schedules, training steps, > warmup; 150.
    warmup: steps until their maximum, >= 1; 30.
    cycles: restarts of the cosine in the rest, in [1, steps - warmup]; 3.

  Returns:
    A LossTransform named "canon".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    canon/mix: mix in force.
    canon/reward_gap: mean reward of the high half above that of the low one,
      mean over groups of more than one.
    canon/entropy_gap: the same of the entropy, nats; only if metric =
      "entropy".

  Source:
    Conditional Advantage Estimation for Reinforcement Learning in Large
    Reasoning Models, arXiv 2509.23962, equations 5-8. Code: biuboomc/CANON,
    verl/trainer/ppo/core_algos.py.
    Differs from that code: the advantages are not divided by the length limit;
    that is the aggregation "seq-mean-token-sum-norm". The code has scale = 1
    and offset = 0 with every schedule, here they may be set.
  """
  chosen = (("metric", metric, METRICS), ("schedule", schedule, SCHEDULES))
  for name, value, known in (*chosen, ("scale_side", scale_side, SIDES)):
    if value not in known:
      raise ValueError(f"canon.{name} = {value!r} must be in {known}.")
  if not 0 <= mix <= 1:
    raise ValueError(f"canon.mix = {mix} must lie in [0, 1].")
  if not scale >= 0:
    raise ValueError(f"canon.scale = {scale} must be >= 0.")
  if not 1 <= warmup < steps:
    raise ValueError(f"canon.warmup = {warmup} must lie in [1, {steps}).")
  if not 1 <= cycles <= steps - warmup:
    raise ValueError(
      f"canon.cycles = {cycles} must lie in [1, {steps - warmup}]."
    )
  side = scale_side or ("low" if metric == "entropy" else "high")

  def cosine(step, highest, lowest):
    """Weight f32[] at a step: linear up, then down in equal cycles."""
    phase = jnp.maximum(step - warmup, 0) % ((steps - warmup) // cycles)
    turn = jnp.pi * phase / ((steps - warmup) // cycles)
    down = lowest + 0.5 * (highest - lowest) * (1 + jnp.cos(turn))
    return jnp.where(step < warmup, highest * (step + 1) / warmup, down)

  def share(batch, step):
    if schedule == "anneal":
      return reduce.masked_mean(batch.reward, batch.group >= 0)
    if schedule is None:
      return jnp.float32(mix)
    highest, lowest, turned = COSINES[schedule]
    weight = cosine(step, highest, lowest)
    return weight if turned else 1 - weight

  def measure(batch, context):
    if metric == "random":
      return jnp.zeros_like(batch.reward)
    if metric == "length":
      return reduce.row_length(batch.mask)
    return reduce.row_mean(context.stat(ENTROPY), batch.mask)

  def prepare(batch, state, context):
    reward, group = batch.reward, batch.group
    measured = measure(batch, context)
    count = reduce.group_count(group)
    alone = count == 1
    rank = reduce.group_rank(measured, group)
    high = rank >= jnp.floor(count / 2)

    def halves(x):
      """f32[B], f32[B]: mean of x over the low and the high half."""
      mean = lambda inside: (
        reduce.group_sum(jnp.where(inside, x, 0), group)
        / jnp.maximum(reduce.group_sum(inside.astype(x.dtype), group), 1)
      )
      return mean(~high), mean(high)

    low_mean, high_mean = (jnp.where(alone, 0, m) for m in halves(reward))
    own = jnp.where(high, high_mean, low_mean)
    other = jnp.where(high, low_mean, high_mean)
    inter = jnp.where(
      high == (side == "high"), scale * reward - other, reward - scale * other
    )
    inter += jnp.where(high, offset, -offset)
    part = share(batch, context.step)
    advantages = part * inter + (1 - part) * (reward - own)
    each = jnp.where(count > 1, 1 / jnp.maximum(count, 1), 0)
    mean = lambda x: (each * x).sum() / jnp.maximum(each.sum(), 1)
    metrics = {
      "canon/mix": part,
      "canon/reward_gap": mean(high_mean - low_mean),
    }
    if metric == "entropy":
      low_entropy, high_entropy = halves(measured)
      metrics["canon/entropy_gap"] = mean(high_entropy - low_entropy)
    live = (group >= 0)[:, None]
    edited = advantages[:, None] * batch.mask
    return batch.replace(
      advantages=jnp.where(live, edited, batch.advantages),
      metrics=batch.metrics | metrics,
    ), state

  needs = (ENTROPY,) if metric == "entropy" else ()
  return LossTransform(
    "canon", prepare=prepare, needs=needs, owns=("advantages",)
  )
