"""EMPO: the share of a group that gives the same answer is the reward."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.notes import ANSWER
from rlvr_jax.transform import LossTransform

CHOICES = {"reward": ("frequency", "majority"), "outside": ("drop", "zero")}
# Of shares of 1 and of log G: more than rounding, less than one row changes.
SLACK = 1e-6


def empo(
  reward: str = "frequency",
  no_answer: float | None = 0.0,
  entropy_low: float | None = 0.0,
  entropy_high: float | None = 1.0,
  confidence_low: float = 0.0,
  confidence_high: float = 1.0,
  outside: str = "drop",
  train: int | None = None,
) -> LossTransform:
  """Rewards a response by how many of its group give the same answer.

  With p_c the share of the group that gives answer c, and H = -sum_c p_c log
  p_c the semantic entropy of the group of G:
    R_i = p of the answer of i    if low < H / log G < high
                                  and max_c p_c lies within the confidence
  A row without an answer has one of its own in p and H. The reward of the task
  trains nothing: it only enters the metrics. Stand before the estimator.

  Edits:   batch.reward (own); if outside is "drop" or train is given
           batch.mask (×) and batch.group (×), -1 in the rows taken out
  Needs:   note of the answers at rollout
  State:   none
  Scope:   group
  Neutral: none; groups of one answer, of only different ones, or of answers of
           equal shares get zero advantage

  With train the first rows of a group are kept, so the order of the rows
  matters.

  Args:
    reward: "frequency", p; "majority", 1 for every answer of the largest p,
      ties included, and 0 for others ("voting" in the code for verl).
    no_answer: reward of a row without an answer: 0 in the code for TRL, -0.5
      there for texts; None gives 1/G, as to any answer of its own (verl).
    entropy_low: share of log G that H must exceed; 0 takes out unanimous
      groups. None for no bound, as in both codes.
    entropy_high: share of log G that H must stay below; 1 takes out groups
      without two equal answers, as in the code for TRL. None for no bound
      (verl). The paper has both bounds, in nats, and no numbers.
    confidence_low: least max_c p_c, in [0, 1]; 0.25 in the code for verl, where
      it is commented out, 0.3 in its filter of prompts, which is off.
    confidence_high: largest max_c p_c, in [0, 1]; 1.
    outside: groups beyond a bound are taken out of loss and statistics
      ("drop") or get rewards of 0 ("zero"), as in the code for TRL.
    train: rows of a group that are trained, its first ones, >= 1; the others
      only vote. None trains all, as in the released runs.

  Returns:
    A LossTransform named "empo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    empo/semantic_entropy: H in nats; like all below the mean over groups.
    empo/majority_fraction: the largest p.
    empo/label_accuracy: share of right rows among those that give an answer of
      the largest p; 0 in a group without answers.
    empo/reward_accuracy: share of the rows that are right and give such an
      answer, or neither.
    empo/solved_fraction: share of the groups with a right row.
    empo/kept_fraction: share of the groups within the bounds.
    Without labels those that compare with them are NaN.

  Source:
    Zhang et al., Right Question is Already Half the Answer: Fully Unsupervised
    LLM Reasoning Incentivization, arXiv 2504.05812, equations 3-7. Code:
    QingyangZhang/EMPO, verl-empo and trl.
    Differs from that code: answers are equal as the task says, where the codes
    cluster in the order of the rows; no prompts are sampled in place of the
    dropped ones; the codes are these settings: verl no_answer, entropy_low and
    entropy_high None; TRL entropy_low None and outside "zero". Its rewards gt,
    best, random and format are left out.
  """
  for name, value in (("reward", reward), ("outside", outside)):
    if value not in CHOICES[name]:
      raise ValueError(f"empo.{name} = {value!r} must be in {CHOICES[name]}.")
  shares = {
    "entropy_low": entropy_low,
    "entropy_high": entropy_high,
    "confidence_low": confidence_low,
    "confidence_high": confidence_high,
  }
  for name, value in shares.items():
    if value is not None and not 0 <= value <= 1:
      raise ValueError(f"empo.{name} = {value} must lie in [0, 1].")
  if train is not None and train < 1:
    raise ValueError(f"empo.train = {train} must be None or >= 1.")

  def within(entropy, most, size):
    kept = most >= confidence_low - SLACK
    kept &= most <= confidence_high + SLACK
    spread = entropy / jnp.log(jnp.maximum(size, 2))
    if entropy_low is not None:
      kept &= spread > entropy_low + SLACK
    if entropy_high is not None:
      kept &= spread < entropy_high - SLACK
    return kept

  def over_groups(group):
    """Sum over each row's group, and mean over all groups, of f32/bool[B]."""
    each = 1 / jnp.maximum(reduce.group_count(group), 1)
    each = jnp.where(group < 0, 0.0, each)
    total = lambda x: reduce.group_sum(x.astype(jnp.float32), group)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), each)
    return total, mean

  def measured(group, right, leads, said):
    total, mean = over_groups(group)
    chosen = leads & said
    voted = total(chosen * right) / jnp.maximum(total(chosen), 1)
    return {
      "empo/label_accuracy": mean(voted),
      "empo/reward_accuracy": mean(1 - jnp.abs(chosen - right)),
      "empo/solved_fraction": mean(jnp.minimum(total(right), 1)),
    }

  def prepare(batch, state, context):
    group, answer = batch.group, context.stat(ANSWER)
    live, said = group >= 0, answer >= 0
    right, mean = reduce.verdict(batch.reward), over_groups(group)[1]
    size = jnp.maximum(reduce.group_count(group), 1)
    alike = reduce.group_count(reduce.subgroup(group, answer))
    share = jnp.where(live, jnp.where(said, alike, 1.0) / size, 1.0)
    most = reduce.group_max(share, group)
    entropy = reduce.group_mean(-jnp.log(share), group)
    leads, kept = live & (share >= most), live & within(entropy, most, size)
    earned = share if reward == "frequency" else leads.astype(jnp.float32)
    if no_answer is not None:
      earned = jnp.where(said, earned, no_answer)
    if outside == "zero":
      earned = jnp.where(kept, earned, 0.0)
    metrics = measured(group, right, leads, said) | {
      "empo/semantic_entropy": mean(entropy),
      "empo/majority_fraction": mean(most),
      "empo/kept_fraction": mean(kept),
    }
    batch = batch.replace(
      reward=jnp.where(live, earned, batch.reward),
      metrics=batch.metrics | metrics,
    )
    stays = kept if outside == "drop" else live
    if train is not None:
      stays &= reduce.group_rank(jnp.zeros(group.shape), group) < train
    elif outside == "zero":
      return batch, state
    return batch.replace(
      mask=batch.mask & (stays | ~live)[:, None],
      group=jnp.where(stays, group, -1),
    ), state

  return LossTransform(
    "empo", prepare=prepare, needs=(ANSWER,), owns=("reward",)
  )
