"""SPEAR: earlier responses that are still better than usual, trained again."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, replayed
from rlvr_jax.objective import is_clipped
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import TokenBatch

UNIT = "lie in [0, 1]", lambda x: 0 <= x <= 1
NATURAL = "be >= 1", lambda x: x >= 1
NOT_NEGATIVE = "be >= 0", lambda x: x >= 0
RANGES = {
  "rows": ("be None or >= 0", lambda x: x is None or x >= 0),
  "full": NOT_NEGATIVE,
  "max_age": NOT_NEGATIVE,
  "capacity": ("be None or >= 1", lambda x: x is None or x >= 1),
  "history": NATURAL,
  "turns": NATURAL,
  "epsilon": ("be > 0", lambda x: x > 0),
  "decay": ("be None or lie in (0, 1]", lambda x: x is None or 0 < x <= 1),
  "coef": NOT_NEGATIVE,
  "steps": NATURAL,
  "fraction": UNIT,
}


class SpearState(NamedTuple):
  """What may be replayed, and what rewards are usual."""

  ring: replayed.Ring  # rows [C, ...]
  history: replayed.History  # f32[S] of groups


def spear(
  rows: int | None = None,
  full: float = 1.5,
  max_age: int = 5,
  capacity: int | None = None,
  history: int = 10_240,
  turns: int = 1,
  normalize: bool = False,
  epsilon: float = 1e-6,
  decay: float | None = None,
  coef: float = 1.0,
  steps: int = 200,
  fraction: float = 0.02,
  low: float = 1.0,
  high: float = 40.0,
) -> LossTransform:
  """Trains again on stored responses that still beat the usual reward.

  Rows of positive advantage are stored in a ring. With P the median of the mean
  rewards of the latest groups, the ring is full once more than full * rows of
  them have R > P. At the next step it is emptied: of its rows with A' > 0,

    A' = R - P, over the median deviation of the groups if normalize,

  a random power of two, at most `rows`, are trained on after the rows of that
  step, in updates of their own, with the ratio to the policy that sampled them
  and a loss times coef (1 - cos(pi min(s / steps, 1))) / 2 at step s. Of their
  tokens a few lose their loss as in `clip_cov`, by a window of their own. Terms
  that others have added to the loss do not act on them.

  Stand behind the advantage estimator, which makes what is stored, and behind
  the regularizers. What only a method's own `prepare` knows of a row is not
  stored: a method that notes something there stands behind.

  Edits:   batch rows (the replayed ones behind the others); objective.weights
           (×), objective.added (×), both on replayed rows
  Needs:   nothing
  State:   ring of C rows as wide as the longest prompts, with the statistics
           and notes that any method needs, and history f32[S], both of them
           read and then written at prepare
  Scope:   run; the minibatch for the window
  Neutral: rows = 0 replays nothing

  Args:
    rows: most rows replayed in a step, >= 0; None for as many as the rollout
      has; 2048. They are part of every step, masked where nothing is replayed:
      a multiple of the rows of an update keeps them in updates of their own,
      and one without any row is not made.
    full: times rows is what must be exceeded before anything is replayed, >=
      0; 1.5.
    max_age: steps that a stored row may be older than the newest one when
      others are stored, >= 0; 5, at most 10.
    capacity: rows C of the ring, of which the oldest are overwritten, >= rows
      and >= 1; None for max_age + 2 times those of a step, which loses none.
    history: groups of the latest whole steps whose rewards are remembered, >=
      1; 10240.
    turns: least number of turns that a stored row has, >= 1; 2 asks for a call
      of a tool, as for mathematics.
    normalize: divide A' by the median deviation plus epsilon.
    epsilon: unit of the reward, > 0; 1e-6.
    decay: in (0, 1], keeps the stored advantage times decay^age, in steps, as
      A' in place of the above; None off.
    coef: of the replayed loss, >= 0; 1.
    steps: until it has grown to coef, >= 1; 200, in 100 to 300.
    fraction: of the counted replayed tokens that lose their loss, in [0, 1]; 0
      drops none; 0.02.
    low: lower end of their window, unit of advantage times nats; 1, up to 2.
    high: upper end, >= low; 40, up to 60.

  Returns:
    A LossTransform named "spear".

  Raises:
    ValueError: a parameter out of its range; as soon as rows are known, a ring
      of fewer than are replayed, or notes of others that no stored row has.

  Metrics:
    spear/stored_rows: that the ring holds after the step.
    spear/good_rows: stored rows with R > P at the beginning of the step.
    spear/replayed_rows: trained on again.
    spear/baseline: P, unit of the reward.
    spear/coef: of the replayed loss at this step.
    spear/dropped_fraction: share of the counted tokens that the window drops.

  Source:
    Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
    Exploration for Agentic Reinforcement Learning, arXiv 2509.22601. Code:
    TencentYoutuResearch/SPEAR. Its reward for calls of tools is `tool_reward`,
    its masks of responses are `dr_bot`.
    Differs from that code: rows past `capacity` are lost, where its buffer
    grows; steps count from 0, there from 1; a row of advantage 0 is no good
    row, which verl-agent keeps; the deviation of a group of one is 0; the
    window is that of the whole minibatch. Its math code clips replayed tokens
    by the window of `clip_cov`: give both the same.
  """
  given = {
    "rows": rows,
    "full": full,
    "max_age": max_age,
    "capacity": capacity,
    "history": history,
    "turns": turns,
    "epsilon": epsilon,
    "decay": decay,
    "coef": coef,
    "steps": steps,
    "fraction": fraction,
  }
  for name, (words, holds) in RANGES.items():
    if not holds(given[name]):
      raise ValueError(f"spear.{name} = {given[name]!r} must {words}.")
  if not low <= high:
    raise ValueError(f"spear.high = {high} must be >= low = {low}.")

  def most(batch):
    """Rows that are appended to a rollout."""
    return batch.group.shape[0] if rows is None else rows

  def init(example):
    step = example.group.shape[0]
    places = (max_age + 2) * step if capacity is None else capacity
    if places < most(example):
      raise ValueError(
        f"spear.rows = {most(example)} must be <= the {places} rows that the "
        "ring holds; lower it, or raise spear.capacity."
      )
    return SpearState(
      replayed.Ring.empty(example, places),
      replayed.History.empty(history, step),
    )

  def gains(state, step):
    """What the stored rows are worth now, f32[C, T]."""
    stored, age = state.ring.rows, step - state.ring.born
    if decay is not None:
      return stored.advantages * jnp.power(decay, age)[:, None]
    return state.history.recalibrated(
      stored.reward, stored.mask, normalize, epsilon
    )

  def replay(state, context, size):
    """The rows to replay, the ring without them, and what is measured."""
    ring = state.ring
    baseline, _ = state.history.medians()
    beats = ring.live & (ring.rows.reward > baseline)
    ready = beats.sum() > full * size
    gain = gains(state, context.step)
    good = ring.live & (gain.sum(axis=1) > 0)
    worth = ring._replace(rows=ring.rows.replace(advantages=gain))
    count = jnp.where(ready, size, 0)
    found = replayed.drawn(worth, good, count, size, context.key)
    metrics = {
      "spear/good_rows": beats.sum().astype(jnp.float32),
      "spear/replayed_rows": found.mask.any(axis=1).sum().astype(jnp.float32),
      "spear/baseline": baseline,
      "spear/coef": strength(context.step),
    }
    left = ring._replace(born=jnp.where(ready, -1, ring.born))
    return found, left, metrics

  def strength(step):
    return coef * replayed.rising(step, steps)

  def store(ring, batch, step):
    """The ring with the rows of this step that won."""
    won = (batch.advantages * batch.mask).sum(axis=1) > 0
    won &= reduce.row_turns(batch.turn, batch.mask) >= turns
    won &= batch.group >= 0
    return ring.without_old(max_age).with_rows(batch, won, step)

  def prepare(batch, state, context):
    stored = state.ring.rows
    _check_same(batch, stored)
    batch = replayed.padded(batch, stored.prompt_mask.shape[1])
    found, left, metrics = replay(state, context, most(batch))
    ring = store(left, batch, context.step)
    metrics["spear/stored_rows"] = ring.live.sum().astype(jnp.float32)
    seen = state.history.with_groups(
      batch.reward, batch.group, context.step, history
    )
    wide = replayed.widened(batch, found)
    return wide.replace(metrics=batch.metrics | metrics), SpearState(ring, seen)

  def apply(objective, state, context):
    again = (context.batch.source < 0)[:, None]
    mask = (objective.mask > 0) & again
    _, _, dropped = reduce.covariance_window(
      objective.advantages,
      jax.lax.stop_gradient(context.logp),
      mask,
      mask & ~is_clipped(objective, context),
      jax.random.uniform(context.key, mask.shape),
      fraction=fraction,
      low=low,
      high=high if fraction else low,
    )
    weights = objective.weights * jnp.where(
      again, strength(context.step) * ~dropped, 1.0
    )
    share = reduce.masked_mean(dropped.astype(jnp.float32), objective.mask)
    metrics = {"spear/dropped_fraction": share}
    return objective.replace(
      weights=weights,
      added=jnp.where(again, 0.0, objective.added),
      metrics=objective.metrics | metrics,
    ), state

  return LossTransform("spear", init, apply, prepare)


def _check_same(batch: TokenBatch, stored: TokenBatch) -> None:
  """Replayed rows must have all that is known of the others."""
  unknown = sorted(batch.notes.keys() - stored.notes.keys())
  if unknown:
    makers = sorted({key.partition("/")[0] for key in unknown})
    raise ValueError(
      f"{makers} stand before 'spear' in the chain and note {unknown} in their "
      "prepare, which no row has that was stored; put them behind 'spear'."
    )
