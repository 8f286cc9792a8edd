"""TECRL: reward for tokens that lead to uncertain places, within a budget."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import controllers, reduce
from rlvr_jax.objective import clipped, unclipped
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ENTROPY = Need(Entropy())
ROLLOUT_ENTROPY = Need(Entropy(), when="rollout")
# The logarithm of the coefficient falls no lower, or it never came back.
LEAST_COEF = 1e-8


class TecrlState(NamedTuple):
  """The coefficient, its controller and what the budget is a share of."""

  applied: Array  # f32[] coefficient in force since the last prepare
  log_coef: Array  # f32[] logarithm of the next step's
  anchor: Array  # f32[] nats per token, G of the first rollout
  started: Array  # bool[] whether there was a rollout


def tecrl(
  gamma: float = 0.99,
  share: float = 0.5,
  target_entropy: float | None = None,
  rate: float = 0.01,
  coef_initial: float = 1e-3,
  coef_min: float = 0.0,
  coef_max: float = 0.05,
  per_token: bool = True,
  normalize: bool = False,
  clip: bool = False,
) -> LossTransform:
  """Adds the policy gradient of a trajectory's entropy to that of the reward.

  With H_t the entropy at token t, held constant in E:
    E_t = sum_{s>t} gamma^(s-t) H_s,  A_t = E_t - mean E_t of the group,
    loss per token -= c (ratio A_t + H_t).
  The advantages of the reward are left alone. After each rollout ln c +=
  rate (budget - G), G the mean discounted entropy of a response.

  Edits:   objective.added (+)
  Needs:   entropy of the policy at update and at rollout
  State:   applied f32[], log_coef f32[], anchor f32[] nats and started bool[],
           set at prepare
  Scope:   group; the coefficient is of the step
  Neutral: coef_initial = coef_min = coef_max = 0

  Where a group has one response of this length the mean is that of all groups
  of the minibatch, and A = 0 where those have one. Rows without a group join
  no mean and have A = 0.

  Args:
    gamma: discount per token, in [0, 1]; 0.99 here. With 0 nothing but the
      entropy bonus is left.
    share: the budget as a share of the first rollout's G, in (0, inf); 1 in
      control, 0.5 here. Read if target_entropy is None.
    target_entropy: the budget in nats per token, >= 0.
    rate: of the logarithm of c, per nat, >= 0; 0.01 here.
    coef_initial: c of the first step, in [coef_min, coef_max], and > 0 unless
      coef_max = 0, as its logarithm moves; 1e-3 here.
    coef_min: least c, >= 0; 0.
    coef_max: largest c, >= coef_min; 0.05 here.
    per_token: G and the budget are divided by the discounted length; without
      it they are sums, as in control, and long responses fill the budget.
    normalize: divide A by its deviation over the minibatch, plus 1e-6.
    clip: clip the ratio before A by the bounds of the policy loss; then it
      must stand behind whatever sets those bounds.

  Returns:
    A LossTransform named "tecrl".

  Raises:
    ValueError: a number out of range.

  Metrics:
    tecrl/coef: c in force.
    tecrl/entropy: mean H of the counted tokens, nats.
    tecrl/entropy_to_go: mean E of the counted tokens, nats.
    tecrl/trajectory_entropy: G of the rollout, nats.
    tecrl/budget: what G is held at, nats.

  Source:
    Zhan et al., Mind Your Entropy: From Maximum Entropy to Trajectory
    Entropy-Constrained RL, arXiv 2511.11592, of continuous control with two
    critics; no code was found. Tokens, Monte-Carlo sums in place of the
    critic, and the numbers are this library's.
    Differs from that code: unknown, as there is none.
  """
  numbers = {"rate": rate, "target_entropy": target_entropy or 0.0}
  for name, value in numbers.items():
    if not value >= 0:
      raise ValueError(f"tecrl.{name} = {value!r} must be >= 0.")
  if not 0 <= gamma <= 1:
    raise ValueError(f"tecrl.gamma = {gamma!r} must lie in [0, 1].")
  if not share > 0:
    raise ValueError(f"tecrl.share = {share!r} must be > 0.")
  if not 0 <= coef_min <= coef_max:
    raise ValueError(
      f"tecrl.coef_min = {coef_min!r} must lie in [0, coef_max = {coef_max}]."
    )
  if not coef_min <= coef_initial <= coef_max:
    raise ValueError(
      f"tecrl.coef_initial = {coef_initial!r} must lie in [{coef_min}, "
      f"{coef_max}]."
    )
  if coef_max > 0 and not coef_initial > 0:
    raise ValueError(
      f"tecrl.coef_initial = {coef_initial!r} must be > 0, or coef_max 0."
    )
  log = lambda x: math.log(max(x, LEAST_COEF))
  dual = controllers.dual_ascent(
    rate, log(coef_min), log(coef_max), log(coef_initial)
  )
  surrogate = clipped() if clip else unclipped()

  def init(example):
    del example
    start = jnp.float32(coef_initial)
    return TecrlState(start, dual.init(), jnp.float32(0), jnp.asarray(False))

  def prepare(batch, state, context):
    mask = batch.mask & (batch.source == 0)[:, None]
    nats = context.stat(ROLLOUT_ENTROPY)
    measured, length = _trajectory(nats, mask, gamma, per_token)
    first = measured / jnp.maximum(length, 1)
    anchor = jnp.where(state.started, state.anchor, first)
    goal = share * anchor if target_entropy is None else target_entropy
    budget = jnp.float32(goal * length)
    log_coef, _ = dual.update(state.log_coef, budget - measured)
    metrics = {"tecrl/trajectory_entropy": measured, "tecrl/budget": budget}
    applied = reduce.clamp(jnp.exp(state.log_coef), coef_min, coef_max)
    after = TecrlState(applied, log_coef, anchor, jnp.asarray(True))
    return batch.replace(metrics=batch.metrics | metrics), after

  def apply(objective, state, context):
    entropy, mask = context.stat(ENTROPY), context.batch.mask
    grouped = mask & (context.batch.group >= 0)[:, None]
    held = jax.lax.stop_gradient(entropy)
    to_go = reduce.returns_to_go(held, mask, gamma) - held
    advantages = _centred(to_go, grouped, context.batch.group)
    if normalize:
      std = jnp.sqrt(reduce.masked_var(advantages, grouped))
      advantages = advantages / (std + 1e-6)
    policy = surrogate(objective.replace(advantages=advantages), context)
    metrics = {
      "tecrl/coef": state.applied,
      "tecrl/entropy": reduce.masked_mean(entropy, objective.mask),
      "tecrl/entropy_to_go": reduce.masked_mean(to_go, objective.mask),
    }
    return objective.replace(
      added=objective.added + state.applied * (policy - entropy),
      metrics=objective.metrics | metrics,
    ), state

  return LossTransform(
    "tecrl", init, apply, prepare, needs=(ENTROPY, ROLLOUT_ENTROPY)
  )


def _trajectory(
  nats: Array, mask: Array, gamma: float, per_token: bool
) -> tuple[Array, Array]:
  """Mean discounted entropy of a response, and the length it belongs to.

  Either a mean over the discounted tokens and 1, or a sum and the discounted
  length of a response of the mean number of tokens.
  """
  place = jnp.cumsum(mask, axis=1) - 1
  discount = jnp.where(mask, jnp.float32(gamma) ** jnp.maximum(place, 0), 0.0)
  total, live = (discount * nats).sum(axis=1), mask.any(axis=1)
  if per_token:
    total = total / jnp.where(live, discount.sum(axis=1), 1.0)
    return reduce.masked_mean(total, live), jnp.float32(1)
  tokens = reduce.masked_mean(reduce.row_length(mask), live)
  length = tokens if gamma == 1 else (1 - gamma**tokens) / (1 - gamma)
  return reduce.masked_mean(total, live), length


def _centred(x: Array, mask: Array, group: Array) -> Array:
  """Less the mean at the same position: of the group, else of all rows."""
  x, ones = jnp.where(mask, x, 0.0), mask.astype(jnp.float32)
  total = jax.vmap(reduce.group_sum, in_axes=(1, None), out_axes=1)
  inside, everywhere = total(ones, group), ones.sum(axis=0)
  of_group = total(x, group) / jnp.maximum(inside, 1)
  of_all = x.sum(axis=0) / jnp.maximum(everywhere, 1)
  mean = jnp.where(inside > 1, of_group, jnp.where(everywhere > 1, of_all, x))
  return jnp.where(mask, x - mean, 0.0)
