"""EMPG: the advantage of every step of an agent, by its entropy."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

ENTROPY = Need(Entropy(), when="rollout")


class Modulation(NamedTuple):
  """What becomes of the advantages of S steps: scale A + shift."""

  scale: Array  # f32[S] g, mean 1 over the steps that count
  clarity: Array  # f32[S] f of each step itself, in (0, 1]
  shift: Array  # f32[S] bonus of the following step, less the mean


def modulation(
  advantages: Array,
  entropy: Array,
  following: Array,
  counts: Array,
  sharpness: float = 1.0,
  clarity: float = 1.0,
  bonus: float = 0.05,
  epsilon: float = 1e-8,
) -> Modulation:
  """The published arithmetic on a flat list of steps, in any order.

  Args:
    advantages: f32[S] one value per step.
    entropy: f32[S] mean token entropy of the step, nats.
    following: i32[S] place of the next step of the trajectory; -1 none.
    counts: bool[S] steps that are there; the others may hold anything finite.
    sharpness: as in `empg`.
    clarity: as in `empg`.
    bonus: as in `empg`.
    epsilon: as in `empg`.

  Returns:
    A Modulation; 0 where no step counts.
  """
  lowest = reduce.masked_min(entropy, counts)
  spread = reduce.masked_max(entropy, counts) - lowest
  relative = jnp.where(counts, (entropy - lowest) / (spread + epsilon), 0)
  confidence = jnp.exp(-sharpness * relative)
  mean = reduce.masked_mean(confidence, counts)
  scale = jnp.where(counts, confidence / (mean + epsilon), 0)
  clear = jnp.where(counts, jnp.exp(-clarity * relative), 0)
  extra = bonus * jnp.where(following < 0, 0, clear[following])
  middle = reduce.masked_mean(scale * advantages + extra, counts)
  return Modulation(scale, clear, jnp.where(counts, extra - middle, 0))


def empg(
  sharpness: float = 1.0,
  clarity: float = 1.0,
  bonus: float = 0.05,
  epsilon: float = 1e-8,
) -> LossTransform:
  """Scales the advantage of confident steps up, of uncertain ones down.

  A step is a turn of a row that has counted tokens. Of its mean entropy H,
  brought to [0, 1] by least and largest of all steps of the rollout as h,
    A' = A g(h) + bonus f(h of the row's next step), less its mean over steps
  with g = exp(-sharpness h) / mean over steps and f = exp(-clarity h); no
  bonus at the last step of a row. Every step counts once in means. Stand
  behind the estimator. Rows without a group keep their advantages.

  Edits:   batch.advantages (×)
  Needs:   entropy of the policy at rollout
  State:   none
  Scope:   step of training: all steps of all rows of the rollout
  Neutral: none; sharpness = bonus = 0 leaves A less its mean over steps

  Args:
    sharpness: the paper's k, >= 0; 1.
    clarity: the paper's k', >= 0; 1.
    bonus: the paper's zeta, unit of the advantage, >= 0; 0.05, in another
      port 0.1.
    epsilon: added to the spread of the entropies, nats, and to the mean of
      exp(-sharpness h), > 0; 1e-8.

  Returns:
    A LossTransform named "empg".

  Raises:
    ValueError: a parameter out of its range.

  Metrics:
    empg/steps: steps in the rollout.
    empg/entropy_max: largest mean entropy of a step, nats.
    empg/entropy_min: least one, nats.
    empg/scale_max: largest g.

  Source:
    Harnessing Uncertainty: Entropy-Modulated Policy Gradients for Long-Horizon
    LLM Agents, arXiv 2509.09265, equations 7, 8 and 10-12. No code of the
    authors; a port is WillDreamer/ARLArena, verl/trainer/ppo/core_algos.py.
    Differs from that code: a row holds a whole trajectory, its steps marked by
    `turn`, where the port has a row per step. A step without tokens, which
    takes part in the port's means with entropy 0, cannot occur here; the
    arithmetic on bare steps is `modulation`.
  """
  given = {"sharpness": sharpness, "clarity": clarity, "bonus": bonus}
  for name, value in given.items():
    if not 0 <= value < math.inf:
      raise ValueError(f"empg.{name} = {value} must be >= 0 and finite.")
  if not epsilon > 0:
    raise ValueError(f"empg.epsilon = {epsilon} must be > 0.")

  def prepare(batch, state, context):
    rows, length = batch.mask.shape
    live = batch.mask & (batch.group >= 0)[:, None]
    number = jnp.arange(rows)[:, None] * length + batch.turn
    number = jnp.where(live, number, rows * length).reshape(-1)

    def total(x):
      """f32[rows * length]: sums over the tokens of each step."""
      flat = jnp.where(live, x, 0).reshape(-1)
      return jax.ops.segment_sum(flat, number, rows * length + 1)[:-1]

    tokens = total(jnp.ones(batch.mask.shape, jnp.float32))
    counts, size = tokens > 0, jnp.maximum(tokens, 1)
    entropy = total(context.stat(ENTROPY)) / size
    found = modulation(
      total(batch.advantages) / size,
      entropy,
      _following(counts.reshape(rows, length)).reshape(-1),
      counts,
      sharpness,
      clarity,
      bonus,
      epsilon,
    )
    of_token = lambda x: jnp.append(x, 0)[number].reshape(live.shape)
    edited = batch.advantages * of_token(found.scale) + of_token(found.shift)
    metrics = {
      "empg/steps": counts.sum().astype(jnp.float32),
      "empg/entropy_max": reduce.masked_max(entropy, counts),
      "empg/entropy_min": reduce.masked_min(entropy, counts),
      "empg/scale_max": reduce.masked_max(found.scale, counts),
    }
    return batch.replace(
      advantages=jnp.where(live, edited, batch.advantages),
      metrics=batch.metrics | metrics,
    ), state

  return LossTransform("empg", prepare=prepare, needs=(ENTROPY,))


def _following(counts: Array) -> Array:
  """i32[B, T]: flat place of the next step of the row, by turn; -1 none."""
  rows, length = counts.shape
  turn = jnp.where(counts, jnp.arange(length), length)
  # The least turn with tokens among those behind.
  later = jax.lax.cummin(turn, axis=1, reverse=True)
  later = jnp.concatenate([later[:, 1:], jnp.full((rows, 1), length)], axis=1)
  flat = jnp.arange(rows)[:, None] * length + later
  return jnp.where(later == length, -1, flat)
