"""T1: many responses to a prompt are compared, some of them are trained on."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform

SELECTIONS = ("all", "random", "balanced")


def t1(train: int | None = None, select: str = "all") -> LossTransform:
  """Takes n of the K responses of a group into the update.

  K is the number of responses sampled per prompt. Which n train:
    all       every one, n = K
    random    any n of them
    balanced  the n - n // 2 best and the n // 2 worst by reward
  Equal rewards are told apart at random, by the dice of the step. Groups of n
  or fewer train whole. Stand behind the estimator, so that all K enter the
  baseline; the rest of T1 is `malformed_penalty`, `rloo`, `entropy_bonus`, and
  `kl_penalty` with anchor = "ema".

  Edits:   unless select is "all" batch.mask (×)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: select = "all"

  Rows that are left out stay in their group with their reward: whatever
  compares the rewards of a group later, in `apply` too, still sees all K, as
  the baseline did, and what reads tokens sees the n. Rows that count nowhere
  already take no place among the n.

  Args:
    train: n, >= 1; None with "all" alone. The paper does not tell it.
    select: "all", "random" or "balanced"; only the first is known to be T1's.

  Returns:
    A LossTransform named "t1".

  Raises:
    ValueError: an unknown selection, n without a selection or a selection
      without n, or n below 1.

  Metrics:
    t1/trained_fraction: share of the responses of groups that train.
    t1/spread: standard deviation of the rewards of a group, of those that
      train; the mean over groups.
    t1/sampled_spread: the same of all that were sampled.

  Source:
    Hou et al., Advancing Language Model Reasoning through Reinforcement
    Learning and Inference Scaling (T1), arXiv 2501.11651: oversampling. The
    code, THUDM/T1, has no training.
    Differs from that code: there is none to compare with; the selections are
    ours.
  """
  if select not in SELECTIONS:
    raise ValueError(f"t1.select = {select!r} must be in {SELECTIONS}.")
  if (train is None) != (select == "all"):
    raise ValueError(
      f"t1.train = {train} does not go with t1.select = {select!r}: 'all' "
      "trains every response, the others want their number; set both or none."
    )
  if train is not None and train < 1:
    raise ValueError(f"t1.train = {train} must be None or >= 1.")

  def chosen(batch, group, key):
    """bool[B]: the rows of groups that train."""
    if select == "all":
      return group >= 0
    # Ties go to the earlier row, so the rows are put in random order.
    order = jax.random.permutation(key, len(group))
    worth = batch.reward if select == "balanced" else jnp.zeros(group.shape)
    rank = reduce.group_rank(worth[order], group[order])
    rank = jnp.zeros_like(rank).at[order].set(rank)
    worst = train // 2 if select == "balanced" else train
    best = train - worst
    above = reduce.group_count(group) - rank - 1  # rows
    return (group >= 0) & ((rank < worst) | (above < best))

  def prepare(batch, state, context):
    counts = batch.mask.any(axis=1)
    group = jnp.where(counts, batch.group, -1)
    kept = chosen(batch, group, context.key)
    metrics = {
      "t1/trained_fraction": reduce.masked_mean(
        kept.astype(jnp.float32), group >= 0
      ),
      "t1/spread": _spread(batch.reward, jnp.where(kept, group, -1)),
      "t1/sampled_spread": _spread(batch.reward, group),
    }
    batch = batch.replace(metrics=batch.metrics | metrics)
    if select != "all":
      stays = kept | (group < 0)
      batch = batch.replace(mask=batch.mask & stays[:, None])
    return batch, state

  return LossTransform("t1", prepare=prepare)


def _spread(reward, group):
  """f32[]: mean over groups of the deviation of their rewards."""
  each = 1 / jnp.maximum(reduce.group_count(group), 1)
  weight = jnp.where(group >= 0, each, 0)
  return reduce.masked_mean(reduce.group_std(reward, group, ddof=0), weight)
