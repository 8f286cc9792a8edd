"""From token statistics to one number: surrogates, aggregation, the loss.

  total = sum(aggregation * (weights * surrogate + added)) + extra

The loss always sees the whole minibatch as [B, T] arrays, so a batch-level
statistic inside a method is exact whatever the model did to produce them.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, rng
from rlvr_jax.transform import Learner, LossTransform, chain
from rlvr_jax.types import (
  LOGP_KEY,
  Array,
  Clock,
  Context,
  Objective,
  PyTree,
  Surrogate,
  TokenBatch,
)

Aggregation = Literal[
  "token-mean",
  "seq-mean-token-sum",
  "seq-mean-token-mean",
  "seq-mean-token-sum-norm",
]
Metrics = dict[str, Array]
LossFn = Callable[
  [Mapping[str, Array], TokenBatch, PyTree, Clock],
  tuple[Array, tuple[PyTree, Metrics]],
]
PrepareFn = Callable[[TokenBatch, PyTree, Clock], tuple[TokenBatch, PyTree]]


def ratio(objective: Objective, max_log_ratio: float | None = 20.0) -> Array:
  """The ratio pi / pi_old, f32[B, T]; bounded so that exp is finite."""
  log_ratio = objective.log_ratio
  if max_log_ratio is not None:
    log_ratio = reduce.clamp(log_ratio, -max_log_ratio, max_log_ratio)
  return jnp.exp(log_ratio)


def clipped(
  dual: float | None = None, max_log_ratio: float | None = 20.0
) -> Surrogate:
  """The clipped surrogate of PPO, optionally with the dual clip.

  max(-A r, -A clip(r, clip_low, clip_high)), and where A < 0 at most -A dual.

  Args:
    dual: bound on the ratio of tokens with negative advantage, > 1; None off.
    max_log_ratio: bound on |log r|, nats; None off.

  Returns:
    A Surrogate: (Objective, Context) to f32[B, T], the loss per token.
  """

  def surrogate(objective, context):
    del context
    free, bound = _losses(objective, max_log_ratio)
    loss = jnp.maximum(free, bound)
    if dual is None:
      return loss
    advantages = objective.advantages
    floor = jnp.minimum(-advantages * dual, loss)
    return jnp.where(advantages < 0, floor, loss)

  return surrogate


def unclipped(max_log_ratio: float | None = 20.0) -> Surrogate:
  """The importance-weighted policy gradient -A r, with no clipping."""

  def surrogate(objective, context):
    del context
    return -objective.advantages * ratio(objective, max_log_ratio)

  return surrogate


def nothing(objective: Objective, context: Context) -> Array:
  """No loss per token; for methods whose loss is `extra`."""
  del context
  return jnp.zeros_like(objective.log_ratio)


def divergence(objective: Objective, estimator: str = "k1") -> Array:
  """Estimate of KL(pi_old || pi), f32[] nats, differentiable.

  Args:
    objective: of the minibatch.
    estimator: the mean over counted tokens of -log r ("k1"), or of
      r - 1 - log r ("k3").
  """
  each = -objective.log_ratio
  if estimator == "k3":
    each += ratio(objective) - 1
  return reduce.masked_mean(each, objective.mask)


ppo_clip = clipped()


def _losses(objective, max_log_ratio):
  r = ratio(objective, max_log_ratio)
  bounded = reduce.clamp(r, objective.clip_low, objective.clip_high)
  return -objective.advantages * r, -objective.advantages * bounded


def is_clipped(objective: Objective, context: Context) -> Array:
  """bool[B, T]: counted tokens whose gradient the clip bounds remove.

  Not under a surrogate that ignores the bounds: the slope of the loss along
  `log_ratio` must be 0 too.
  """
  objective = jax.lax.stop_gradient(objective)
  free, bound = _losses(objective, None)

  def total(log_ratio):
    moved = objective.replace(log_ratio=log_ratio)
    return objective.surrogate(moved, context).sum()

  flat = jax.grad(total)(objective.log_ratio) == 0
  return (bound > free) & flat & (objective.mask > 0)


def aggregation(
  mask: Array, mode: Aggregation, scale: float | None = None
) -> Array:
  """Weights whose sum over tokens turns a loss per token into the loss.

  Args:
    mask: f32[B, T] counted tokens of the minibatch.
    mode: "token-mean" (every token alike), "seq-mean-token-sum" and
      "seq-mean-token-mean" (mean over rows that count at all), or
      "seq-mean-token-sum-norm" (sum of everything over `scale`; Dr.GRPO).
    scale: divisor of the last mode, tokens; the padded length T if None.

  Returns:
    f32[B, T]; all zero if nothing counts.

  Raises:
    ValueError: an unknown mode.
  """
  lengths = mask.sum(axis=1, keepdims=True)
  rows = jnp.maximum((lengths > 0).sum(), 1)
  if mode == "token-mean":
    return mask / jnp.maximum(mask.sum(), 1)
  if mode == "seq-mean-token-sum":
    return mask / rows
  if mode == "seq-mean-token-mean":
    return mask / jnp.maximum(lengths, 1e-8) / rows
  if mode == "seq-mean-token-sum-norm":
    return mask / (mask.shape[1] if scale is None else scale)
  raise ValueError(
    f"aggregation mode = {mode!r} must be one of {get_args(Aggregation)}."
  )


def clean(batch: TokenBatch) -> TokenBatch:
  """Zeroes whatever stands in positions that do not count.

  Padding may hold NaN, and 0 * NaN is NaN: it is removed here, once, so that
  no method has to think of it. Rows that count nowhere and belong to no group
  are padding as a whole.
  """
  empty = (batch.group < 0) & ~batch.mask.any(axis=1)
  token = lambda x: jnp.where(_along(batch.mask, x), x, 0)
  row = lambda x: jnp.where(_along(empty, x), jnp.zeros_like(x), x)
  return batch.replace(
    turn=token(batch.turn),
    reward=row(batch.reward),
    score_temperature=jnp.where(empty, 1.0, batch.score_temperature),
    sample_logp=token(batch.sample_logp),
    old_logp=token(batch.old_logp),
    advantages=token(batch.advantages),
    stats={k: token(v) for k, v in batch.stats.items()},
    notes={
      k: token(v) if v.ndim > 1 else row(v) for k, v in batch.notes.items()
    },
  )


def _along(mask: Array, x: Array) -> Array:
  """The mask with axes of size 1 behind it, as many as x has more."""
  return jnp.expand_dims(mask, range(mask.ndim, x.ndim))


def prepare(
  method: LossTransform, draws: tuple[tuple[str, int], ...] = ()
) -> PrepareFn:
  """The once-a-step edit of a method, on a cleaned rollout.

  Args:
    method: a transform or a chain.
    draws: (name, rows) of the draws as they were sampled, main draw first.

  Returns:
    (batch, state, clock) -> (batch, state); state as `chain(method).init`.
  """
  method = chain(method)

  def prepare_fn(batch, state, clock):
    batch = clean(batch)
    key = rng.key(clock.key, rng.Purpose.PREPARE, clock.step)
    context = Context(clock.step, clock.update, key, batch, {}, draws)
    batch, state = method.prepare(batch, state, context)
    return clean(batch), state

  return prepare_fn


def initial(
  stats: Mapping[str, Array],
  batch: TokenBatch,
  clip: tuple[float, float] = (0.2, 0.2),
) -> Objective:
  """The objective before any transform has edited it."""
  ones = jnp.ones(batch.mask.shape, jnp.float32)
  return Objective(
    log_ratio=stats[LOGP_KEY] - batch.old_logp,
    advantages=batch.advantages,
    weights=ones,
    clip_low=ones * (1 - clip[0]),
    clip_high=ones * (1 + clip[1]),
    mask=batch.mask.astype(jnp.float32),
    added=jnp.zeros_like(ones),
    extra=jnp.zeros((), jnp.float32),
    metrics={},
    surrogate=ppo_clip,
  )


def loss(
  method: LossTransform,
  *,
  clip: tuple[float, float] = (0.2, 0.2),
  mode: Aggregation = "token-mean",
  scale: float | None = None,
  draws: tuple[tuple[str, int], ...] = (),
) -> LossFn:
  """The loss of one minibatch under a method.

  Args:
    method: a transform or a chain.
    clip: the ratio is kept in [1 - clip[0], 1 + clip[1]] unless a transform
      owns the bounds.
    mode: how tokens are aggregated, see `aggregation`.
    scale: divisor of the mode "seq-mean-token-sum-norm", tokens.
    draws: (name, rows) of the draws as they were sampled, main draw first.

  Returns:
    (stats, batch, state, clock) -> (loss f32[], (state, metrics)). `stats`
    maps Need.key to f32[B, T] and always holds the current log-probs.
  """
  method = chain(method)

  def loss_fn(stats, batch, state, clock):
    batch = clean(batch)
    stats = {k: jnp.where(batch.mask, v, 0) for k, v in stats.items()}
    key = rng.key(clock.key, rng.Purpose.UPDATE, clock.step, clock.update)
    context = Context(clock.step, clock.update, key, batch, stats, draws)
    objective = initial(stats, batch, clip)
    objective, state = method.apply(objective, state, context)
    # A surrogate may read what any member of the chain declared.
    context = context._replace(name="surrogate", needs=method.needs)
    per_token = objective.surrogate(objective, context)
    scales = aggregation(objective.mask, mode, scale)
    policy = _total(scales, objective.weights * per_token)
    added = _total(scales, objective.added)
    metrics = _standard_metrics(objective, context) | objective.metrics
    terms = {"policy": policy, "added": added, "extra": objective.extra}
    metrics |= {f"loss/{k}": jax.lax.stop_gradient(v) for k, v in terms.items()}
    return sum(terms.values()), (state, metrics)

  return loss_fn


def learner_loss(
  learner: Learner, draws: tuple[tuple[str, int], ...] = ()
) -> LossFn:
  """The loss of a chain's learner on a whole rollout.

  Args:
    learner: of `chain(...)`.
    draws: (name, rows) of the draws as they were sampled, main draw first.

  Returns:
    What `loss` returns, but that the state is handed through.
  """

  def loss_fn(stats, batch, state, clock):
    batch = clean(batch)
    stats = {k: jnp.where(batch.mask, v, 0) for k, v in stats.items()}
    key = rng.key(clock.key, rng.Purpose.LEARN, clock.step)
    context = Context(clock.step, clock.update, key, batch, stats, draws)
    value, metrics = learner.loss(context)
    return value, (state, jax.lax.stop_gradient(metrics))

  return loss_fn


def _total(scales, per_token):
  return jnp.where(scales > 0, scales * per_token, 0).sum()


def _standard_metrics(objective, context):
  mask = context.batch.mask
  clip = is_clipped(objective, context)
  positive = objective.advantages > 0
  log_ratio = jax.lax.stop_gradient(objective.log_ratio)
  drift = reduce.clamp(log_ratio, -20.0, 20.0)
  mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
  return {
    "loss/tokens": mask.sum().astype(jnp.float32),
    "loss/clipped_fraction": mean(clip),
    "loss/clipped_low_fraction": mean(clip & ~positive),
    "loss/clipped_high_fraction": mean(clip & positive),
    "loss/kl": mean(-drift),
    "loss/ratio_max": reduce.masked_max(jnp.exp(drift), mask),
    "loss/advantage_abs_mean": mean(jnp.abs(objective.advantages)),
  }
