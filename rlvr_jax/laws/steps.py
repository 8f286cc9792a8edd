"""One step of a chain on a rollout: prepare, then one loss with gradient."""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import objective, stats, testing
from rlvr_jax.laws.rollouts import Rollout, is_logp, spoil
from rlvr_jax.objective import Metrics
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Clock, PyTree, TokenBatch

Draws = tuple[tuple[str, int], ...]


class Lesson(NamedTuple):
  """What the loss of the learner gave."""

  loss: Array
  gradient: dict[str, Array]  # by the statistics it reads
  metrics: Metrics


class Result(NamedTuple):
  """What one step gave."""

  loss: Array
  gradient: dict[str, Array]  # of the loss, by the statistics at update
  prepared: TokenBatch
  stats: dict[str, Array]  # at update
  metrics: Metrics
  state: PyTree
  lesson: Lesson | None  # of the learner, on the rollout before `prepare`


def clock(step: Array | int) -> Clock:
  """The first minibatch of a step."""
  return Clock(step, 0, jax.random.key(0))


def run(
  method: LossTransform,
  rollout: Rollout,
  *,
  state: PyTree | None = None,
  step: int = 0,
  junk: float = 0.0,
  logp: float = math.nan,
) -> Result:
  """One prepare and one loss with gradient, compiled once per method.

  Args:
    method: a chain.
    rollout: what it is tried on.
    state: state of the chain; the initial one if None.
    step: the step.
    junk: stands wherever nothing counts.
    logp: all current log-probs, other statistics being 0; NaN keeps them.

  Returns:
    A Result.
  """
  batch, params, draws = rollout
  state = method.init(batch) if state is None else state
  return _step(method, draws, batch, params, state, step, junk, logp)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(method, draws, batch, params, state, step, junk, logp):
  prepared, state, now = prepare(
    method, draws, spoil(batch, junk), params, state, step
  )
  set_all = lambda key, x: jnp.where(
    jnp.isnan(logp), x, logp if is_logp(key) else 0.0
  )
  now = {k: set_all(k, v) for k, v in now.items()}
  spoilt = {k: jnp.where(prepared.mask, v, junk) for k, v in now.items()}
  value = lambda now: loss(
    method, draws, spoil(prepared, junk), state, now, step
  )
  grad = jax.value_and_grad(value, has_aux=True)
  (total, (state, metrics)), gradient = grad(spoilt)
  lesson = None
  if method.learner is not None:
    found = learner_stats(method, batch, params)
    found = {k: set_all(k, v) for k, v in found.items()}
    lesson = _lesson(method, draws, batch, found, step, junk)
  return Result(total, gradient, prepared, now, metrics, state, lesson)


def _lesson(method, draws, batch, found, step, junk):
  spoilt = {k: jnp.where(batch.mask, v, junk) for k, v in found.items()}
  rollout = spoil(batch, junk)
  value = lambda now: learner_loss(method, draws, rollout, now, step)
  (loss, metrics), gradient = jax.value_and_grad(value, has_aux=True)(spoilt)
  return Lesson(loss, gradient, metrics)


def learner_stats(
  method: LossTransform, batch: TokenBatch, params: Mapping[str, Array]
) -> dict[str, Array]:
  """What the learner of a chain reads, by Need.key."""
  needs = method.learner.needs
  return stats.score(needs, params, batch, model=testing.Bigram())


def learner_loss(
  method: LossTransform,
  draws: Draws,
  batch: TokenBatch,
  found: Mapping[str, Array],
  step: Array | int = 0,
) -> tuple[Array, Metrics]:
  """The loss of the learner on a rollout, and its metrics."""
  loss_fn = objective.learner_loss(method.learner, draws)
  value, (_, metrics) = loss_fn(found, batch, (), clock(step))
  return value, metrics


def prepare(
  method: LossTransform,
  draws: Draws,
  batch: TokenBatch,
  params: Mapping[str, Array],
  state: PyTree,
  step: Array | int = 0,
) -> tuple[TokenBatch, PyTree, dict[str, Array]]:
  """The prepared batch, the state, and the statistics at update."""
  batch, state = objective.prepare(method, draws)(batch, state, clock(step))
  example = testing.Example(batch, params, testing.Bigram(), draws)
  return batch, state, example.stats(method.needs)


def loss(
  method: LossTransform,
  draws: Draws,
  batch: TokenBatch,
  state: PyTree,
  now: Mapping[str, Array],
  step: Array | int = 0,
) -> tuple[Array, tuple[PyTree, Metrics]]:
  """The loss of a prepared batch, and (state, metrics)."""
  return objective.loss(method, draws=draws)(now, batch, state, clock(step))
