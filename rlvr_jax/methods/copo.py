"""COPO: groups whose answers agree are judged against the other prompts."""

import math

import jax
import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.notes import ANSWER
from rlvr_jax.transform import LossTransform

MODES = (
  "only_soft",
  "soft_with_forced",
  "only_forced",
  "only_zero",
  "soft_with_zero",
  "only_soft_with_coef",
  "no_global",
  "only_global",
)
NORMS = ("std", "none", "released")
UNITS = {"bits": math.log(2), "nats": 1.0}
GLOBAL, BLEND = "copo/global", "copo/blend"
ROUNDING = 1e-6  # of mean rewards, relative to the largest


def copo(
  mode: str = "only_soft",
  slope: float = 20.0,
  threshold: float = 0.5,
  unit: str = "bits",
  reward_coef: bool = False,
  norm: str = "std",
  coef: float = 0.5,
  dual: float | None = 3.0,
  epsilon: float = 1e-6,
) -> LossTransform:
  """Blends the loss of GRPO's advantages with one of advantages of prompts.

    loss = (1 - w) L(A_global) + w L(A_local)
    w    = sigmoid(slope (H - threshold))
  L is the clipped surrogate with the dual clip, of the same ratio in both;
  A_local is GRPO's; A_global = (g - mean g) / (std g + epsilon) over prompts
  with g the mean reward of the prompt's rows; H = -sum_j p_j log(p_j + 1e-8)
  over its different answers. Spread answers learn from each other, unanimous
  ones, which have no local advantage, from the other prompts. What other
  methods do to advantages changes A_local only.

  Edits:   batch.advantages (own), objective.surrogate (own)
  Needs:   note of the answers at rollout
  State:   none
  Scope:   step: A_global is over all prompts of the rollout
  Neutral: none; mode = "no_global" is GRPO with the dual clip

  Args:
    mode: what w is, with s the sigmoid: "only_soft" (paper) s,
      "soft_with_forced" s where A_local is not 0 and else 0, "only_forced" 1
      there and else 0, "only_zero" 1 where the row's reward is not 0 and else
      0, "soft_with_zero" s there and else 0, "only_soft_with_coef" s with
      coef before L(A_global), "no_global" 1, "only_global" 0.
    slope: of the sigmoid, per unit of H, >= 0; 20, also 5.
    threshold: H of equal parts, unit of H; 0.5 in the scripts, also 1, in
      bits; 1.5 in the paper, which writes the natural logarithm.
    unit: of H, "bits" (code) or "nats" (paper).
    reward_coef: whether g is (1 - H (1 - 1/n) / log n) times the mean reward,
      n the rows of the prompt; False in the scripts.
    norm: "std" divides A_global; "none" does not; "released" does not and
      leaves A_local at 0, as the released code then does.
    coef: of "only_soft_with_coef", >= 0; no value is published.
    dual: bound on the ratio of tokens with negative advantage, > 1; None off.
      3.
    epsilon: added to deviations, unit of the reward, > 0; 1e-6.

  Returns:
    A LossTransform named "copo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    copo/entropy: mean of H over prompts, its unit.
    copo/global_reward: mean of g over prompts.
    copo/local_fraction: mean of w over the rows of prompts.
    copo/flat_fraction: share of prompts whose rewards are all equal.

  Source:
    COPO: Consistency-Aware Policy Optimization, arXiv 2508.04138. Code:
    hijih/copo-code, verl/trainer/ppo/core_algos.py.
    Differs from that code: answers are equal as the verifier says, not as
    texts; responses without one share a class. A single prompt has A_global 0
    and one row per prompt no coefficient, where the code divides 0 by 0. Rows
    without a prompt keep their advantages and have w = 1.
  """
  chosen = (("mode", mode, MODES), ("norm", norm, NORMS))
  for name, value, known in (*chosen, ("unit", unit, tuple(UNITS))):
    if value not in known:
      raise ValueError(f"copo.{name} = {value!r} must be in {known}.")
  for name, value in (("slope", slope), ("coef", coef)):
    if not value >= 0:
      raise ValueError(f"copo.{name} = {value} must be >= 0.")
  if not epsilon > 0:
    raise ValueError(f"copo.epsilon = {epsilon} must be > 0.")
  if dual is not None and not dual > 1:
    raise ValueError(f"copo.dual = {dual} must be > 1, or None.")
  loss = objective.clipped(dual)

  def consistency(group, answer):
    """f32[B]: H of each row's prompt, in nats."""
    same = reduce.subgroup(group, answer)
    count = jnp.maximum(reduce.group_count(same), 1)
    p = count / jnp.maximum(reduce.group_count(group), 1)
    return reduce.group_sum(-p * jnp.log(p + 1e-8) / count, group)

  def local(reward, group):
    if norm == "released":
      return jnp.zeros_like(reward)
    alone = reduce.group_count(group) == 1
    mean = jnp.where(alone, 0, reduce.group_mean(reward, group))
    std = jnp.where(alone, 1, reduce.group_std(reward, group))
    return jnp.where(group < 0, 0, (reward - mean) / (std + epsilon))

  def across(worth, group, first):
    """A_global f32[B] of g; `first` marks one row of every prompt."""
    centred = worth - reduce.masked_mean(worth, first)
    # Equal g: their rounding, divided by a deviation of 0, would count.
    largest = jnp.abs(worth).max(where=first, initial=0)
    real = (group >= 0) & (jnp.abs(centred) > ROUNDING * largest)
    centred = jnp.where(real, centred, 0)
    if norm != "std":
      return centred
    return centred / (jnp.sqrt(reduce.masked_var(centred, first, 1)) + epsilon)

  def blend(soft, own, reward):
    """f32[B]: w of each row."""
    ones, zeros = jnp.ones_like(soft), jnp.zeros_like(soft)
    return {
      "only_soft": soft,
      "only_soft_with_coef": soft,
      "soft_with_forced": jnp.where(own != 0, soft, 0),
      "only_forced": jnp.where(own != 0, ones, 0),
      "soft_with_zero": jnp.where(reward != 0, soft, 0),
      "only_zero": jnp.where(reward != 0, ones, 0),
      "no_global": ones,
      "only_global": zeros,
    }[mode]

  def prepare(batch, state, context):
    group, reward = batch.group, batch.reward
    count = reduce.group_count(group)
    place = reduce.group_rank(jnp.zeros_like(reward), group)
    first = (group >= 0) & (place == 0)
    nats = consistency(group, context.stat(ANSWER))
    worth = reduce.group_mean(reward, group)
    if reward_coef:
      rows = jnp.maximum(count, 2)
      coefficient = 1 - nats * (1 - 1 / rows) / jnp.log(rows)
      worth *= jnp.where(count > 1, coefficient, 1)
    entropy, own = nats / UNITS[unit], local(reward, group)
    soft = jax.nn.sigmoid(slope * (entropy - threshold))
    weight = jnp.where(group < 0, 1, blend(soft, own, reward))
    mean = lambda x: reduce.masked_mean(x, first)
    flat = reduce.group_std(reward, group) <= epsilon
    metrics = {
      "copo/entropy": mean(entropy),
      "copo/global_reward": mean(worth),
      "copo/local_fraction": reduce.masked_mean(weight, group >= 0),
      "copo/flat_fraction": mean(flat.astype(jnp.float32)),
    }
    notes = {GLOBAL: across(worth, group, first), BLEND: weight}
    live = (group >= 0)[:, None]
    return batch.replace(
      advantages=jnp.where(live, own[:, None] * batch.mask, batch.advantages),
      notes=batch.notes | notes,
      metrics=batch.metrics | metrics,
    ), state

  def surrogate(record, context):
    notes = context.batch.notes
    weight, others = notes[BLEND][:, None], notes[GLOBAL][:, None]
    others = jnp.broadcast_to(others, record.advantages.shape)
    factor = coef if mode == "only_soft_with_coef" else 1.0
    together = loss(record.replace(advantages=others), context)
    alone = loss(record, context)
    return (1 - weight) * factor * together + weight * alone

  def apply(record, state, context):
    del context
    return record.replace(surrogate=surrogate), state

  return LossTransform(
    "copo",
    apply=apply,
    prepare=prepare,
    needs=(ANSWER,),
    owns=("advantages", "surrogate"),
  )
