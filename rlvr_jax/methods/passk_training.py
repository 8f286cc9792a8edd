"""Pass@k training: a response earns what the groups of k it is in earn."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate

VARIANTS = ("analytic", "full", "bootstrap")
COMBINATIONS = ("mean", "sum")


def passk_training(
  k: int = 4,
  variant: str = "analytic",
  draws: int = 8,
  epsilon: float = 1e-6,
  threshold: float = 0.5,
  combine: str = "mean",
) -> LossTransform:
  """Sets advantages for the best of k answers instead of for one.

  A set of k responses earns 1 if one of them is right. Over all such sets of a
  group of N with M wrong answers q = C(M, k) / C(N, k) earn nothing, and the
  mean normalised advantage of the sets a response is in is

    right: q / (sqrt(q (1 - q)) + epsilon)    wrong: -(N - M) / M of that

  Wrong answers to hard problems are hardly punished, problems with fewer than
  k wrong answers are left alone.

  Edits:   batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; k = 1 is GRPO with the population deviation

  The variant "full" cuts a group into sets by the order of its rows,
  "bootstrap" draws at random per position.

  Args:
    k: responses of a set, >= 1; 4. Groups of fewer are one set.
    variant: "analytic" (the formula); "full" cuts each group into disjoint
      sets of k and normalises over these; "bootstrap" draws sets, and a
      response in none gets 0.
    draws: sets drawn per group with "bootstrap", >= 1; not published.
    epsilon: added to the deviation, > 0; 1e-6.
    threshold: rows with a larger reward are right; 0.5.
    combine: with "bootstrap", the advantage of a response is the "mean" of
      those of its drawn sets, or their "sum", which grows with draws.

  Returns:
    A LossTransform named "passk_training".

  Raises:
    ValueError: an unknown variant, or a number out of range.

  Metrics:
    passk_training/pass_at_k: mean over groups of the reward of a set.
    passk_training/idle_fraction: share of the rows in groups whose sets all
      earn the same.

  Source:
    Chen et al., Pass@k Training for Adaptively Balancing Exploration and
    Exploitation of Large Reasoning Models, arXiv 2508.10751. Code:
    RUCAIBox/Passk_Training, passk_adv.py (the analytic form).
    Differs from that code: groups need not have one size. The other variants
    follow the paper; where a group cannot be cut into sets of k, its last set
    is smaller.
  """
  if not k >= 1:
    raise ValueError(f"passk_training.k = {k!r} must be >= 1.")
  if variant not in VARIANTS:
    raise ValueError(
      f"passk_training.variant = {variant!r} must be in {VARIANTS}."
    )
  if not draws >= 1:
    raise ValueError(f"passk_training.draws = {draws!r} must be >= 1.")
  if not epsilon > 0:
    raise ValueError(f"passk_training.epsilon = {epsilon!r} must be > 0.")
  if combine not in COMBINATIONS:
    raise ValueError(
      f"passk_training.combine = {combine!r} must be in {COMBINATIONS}."
    )

  def analytic(right, group, context):
    del context
    count = reduce.group_count(group)
    wrong = count - reduce.group_sum(right, group)
    none = jnp.ones_like(count)  # C(M, k) / C(N, k), factor by factor
    for j in range(k):
      share = jnp.maximum(wrong - j, 0) / jnp.maximum(count - j, 1)
      none *= jnp.where(j < count, share, 1.0)
    balance = (count - wrong) / jnp.maximum(wrong, 1)
    sign = jnp.where(right > 0, 1.0, -balance)
    scale = jnp.sqrt(none * (1 - none)) + epsilon
    # All wrong: 0 / epsilon in the formula, and so balance = 0.
    return sign * none / scale, 1 - none

  def full(right, group, context):
    del context
    place = reduce.group_rank(jnp.zeros_like(right), group)
    part = reduce.subgroup(group, place // k)
    size = jnp.maximum(reduce.group_count(part), 1)
    sets = reduce.group_sum(1 / size, group)  # each set counts once
    sets = jnp.where(sets > 0, sets, 1.0)
    mean = lambda x: reduce.group_sum(x / size, group) / sets
    best = (reduce.group_sum(right, part) > 0).astype(jnp.float32)
    passed = mean(best)
    scale = jnp.sqrt(mean((best - passed) ** 2)) + epsilon
    return (best - passed) / scale, passed

  def bootstrap(right, group, context):
    dice = jax.random.uniform(context.key, (draws, right.shape[0]))

    def draw(numbers):
      inside = reduce.group_rank(numbers, group) < k
      found = reduce.group_sum(right * inside, group) > 0
      return inside, found.astype(jnp.float32)

    inside, best = jax.vmap(draw)(dice)
    passed = best.mean(axis=0)
    scale = best.std(axis=0) + epsilon
    total = (inside * (best - passed)).sum(axis=0) / scale
    if combine == "mean":
      total /= jnp.maximum(inside.sum(axis=0), 1)
    return total, passed

  sets = {"analytic": analytic, "full": full, "bootstrap": bootstrap}[variant]

  def prepare(batch, state, context):
    group, live = batch.group, batch.group >= 0
    right = (batch.reward > threshold).astype(jnp.float32)
    advantages, passed = sets(right, group, context)
    own = estimate("passk_training", lambda *_: advantages)
    batch, state = own.prepare(batch, state, context)
    each = live / jnp.maximum(reduce.group_count(group), 1)
    groups = jnp.maximum(reduce.group_total(group), 1)
    idle = reduce.group_max(jnp.abs(advantages), group) == 0
    share = reduce.masked_mean(idle.astype(jnp.float32), live)
    metrics = {
      "passk_training/pass_at_k": (each * passed).sum() / groups,
      "passk_training/idle_fraction": share,
    }
    return batch.replace(metrics=batch.metrics | metrics), state

  return LossTransform("passk_training", prepare=prepare, owns=("advantages",))
