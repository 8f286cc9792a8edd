"""TTRL: the majority answer of a group stands for the truth."""

import jax.numpy as jnp

from rlvr_jax import branching, reduce
from rlvr_jax.notes import ANSWER
from rlvr_jax.transform import LossTransform

VOTES = ("leaf", "tree")


def ttrl(train: int | None = None, votes: str = "leaf") -> LossTransform:
  """Rewards agreement with the most frequent answer of the group.

  R_i = 1 if response i gives the answer that most responses of its prompt
  give, else 0. A response without an answer neither votes nor wins; where none
  has one, all rewards are 0. The reward of the task trains nothing: it only
  enters the metrics. Stand before the estimator.

  Edits:   batch.reward (own); if train is given batch.mask (×) and
           batch.group (×), -1 in the rows that only vote
  Needs:   note of the answers at rollout
  State:   none
  Scope:   group
  Neutral: none; groups of one answer get zero advantage

  Of equally frequent answers the one seen first wins, and the first rows
  train, as in the code, so the order of the rows matters. Where responses
  branch, the leaves of a tree are no independent votes.

  Args:
    train: rows of a group that are trained, its first ones, >= 1; the others
      vote, then count nowhere. None trains all; 32 of 64.
    votes: "leaf" gives each response one vote, as ETTRL has it; "tree" gives
      one to the leaves of a tree together, shared by those with an answer. The
      same where nothing branches.

  Returns:
    A LossTransform named "ttrl".

  Raises:
    ValueError: train below 1, or unknown votes.

  Metrics:
    ttrl/label_accuracy: share of groups whose majority answer is right.
    ttrl/reward_accuracy: share of the rows whose vote is their true verdict;
      like those below the mean over groups.
    ttrl/majority_fraction: share of the rows that give the majority answer,
      those without an answer in the denominator; the mean of the new reward.
    ttrl/right_fraction: share of the rows that are right.
    ttrl/solved_fraction: share of the groups with a right row.
    ttrl/tree_majority_fraction: share of the majority answer where each tree
      has one vote; only if responses branch. Above it is majority_fraction if
      trees agree with themselves more than with each other.
    ttrl/trained_reward_accuracy: the same of the trained rows; only if train.
    ttrl/trained_majority_fraction: likewise; only if train.
    ttrl/trained_right_fraction: likewise; only if train.
    ttrl/trained_solved_fraction: likewise; only if train.

  Source:
    TTRL: Test-Time Reinforcement Learning, arXiv 2504.16084. Code:
    PRIME-RL/TTRL, test_time_train_metrics and its trainer.
    Differs from that code: answers are equal as the verifier says, one label
    for a group, where the code grades each response against the majority
    answer; a group without answers gets rewards and accuracies of 0, where the
    code stops; the reward is a number per row, where the code writes it at the
    last token of another row. Right means a reward above 0; without
    labels what compares with them is NaN.
  """
  if train is not None and train < 1:
    raise ValueError(f"ttrl.train = {train} must be None or >= 1.")
  if votes not in VOTES:
    raise ValueError(f"ttrl.votes = {votes!r} must be in {VOTES}.")

  def measured(inside, agrees, right, valid):
    """Over the rows that are inside a group, every group alike."""
    each = 1 / jnp.maximum(reduce.group_count(inside), 1)
    each = jnp.where(inside < 0, 0, each)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), each)
    return {
      "reward_accuracy": mean(valid * (1 - jnp.abs(agrees - right))),
      "majority_fraction": mean(agrees),
      "right_fraction": mean(right),
      "solved_fraction": mean(jnp.minimum(reduce.group_sum(right, inside), 1)),
    }

  def prepare(batch, state, context):
    group, answer = batch.group, context.stat(ANSWER)
    live, place = group >= 0, jnp.zeros(group.shape)
    same = reduce.subgroup(group, answer)
    answered = live & (answer >= 0)
    of_tree = _shared(batch, answered)
    voice = of_tree if votes == "tree" else answered.astype(jnp.float32)
    # Rounded: sums of thirds shall tie as those of halves do.
    count = jnp.round(reduce.group_sum(voice, same), 4)
    # The first row of the most frequent answer speaks for its group.
    speaks = live & (reduce.group_rank(-count, group) == 0)
    of_speaker = lambda x: reduce.group_sum(jnp.where(speaks, x, 0), group)
    valid = of_speaker(count) > 0
    agrees = live & valid & (same == of_speaker(same))
    right = reduce.verdict(batch.reward)
    accuracy = reduce.masked_mean(right * valid, speaks)
    metrics = {"ttrl/label_accuracy": accuracy}
    found = measured(group, agrees, right, valid)
    metrics |= {f"ttrl/{k}": v for k, v in found.items()}
    if batch.parent is not None:
      trees = jnp.maximum(reduce.group_sum(_shared(batch, live), group), 1)
      share = reduce.group_sum(of_tree * agrees, group) / trees
      metrics["ttrl/tree_majority_fraction"] = reduce.masked_mean(share, speaks)
    voted = jnp.where(live, agrees.astype(jnp.float32), batch.reward)
    batch = batch.replace(reward=voted)
    if train is not None:
      trained = jnp.where(reduce.group_rank(place, group) < train, group, -1)
      found = measured(trained, agrees, right, valid)
      metrics |= {f"ttrl/trained_{k}": v for k, v in found.items()}
      stays = ~live | (trained >= 0)
      batch = batch.replace(mask=batch.mask & stays[:, None], group=trained)
    return batch.replace(metrics=batch.metrics | metrics), state

  return LossTransform(
    "ttrl", prepare=prepare, needs=(ANSWER,), owns=("reward",)
  )


def _shared(batch, inside):
  """f32[B]: one for each tree, in equal parts for the rows that are inside."""
  if batch.parent is None:
    return inside.astype(jnp.float32)
  tree = branching.origin(batch.parent, batch.copied, 1)[:, 0]
  size = reduce.group_count(jnp.where(inside, tree, -1))
  return jnp.where(inside, 1 / jnp.maximum(size, 1), 0)
