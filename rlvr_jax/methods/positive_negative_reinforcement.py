"""PSR, NSR and W-REINFORCE: learn from right or from wrong answers only."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform, estimate

MODES = ("weighted", "positive", "negative")
DENOMINATORS = (None, "subset", "all")


def positive_negative_reinforcement(
  mode: str = "weighted",
  positive_weight: float = 0.1,
  gamma: float = 1.0,
  denominator: str | None = None,
  threshold: float = 0.5,
) -> LossTransform:
  """Sets advantages of +1 and -1, or of one of the two kinds alone.

  With G the discounted reward to go of a token: "positive" A = G, "negative"
  A = G - 1, "weighted" (W-REINFORCE) A = positive_weight G in right rows and
  G - 1 in wrong ones. Rewards are 0 or 1; no baseline, no groups. Pushing wrong
  answers down spreads their probability over all alternatives and keeps the
  entropy; pushing right ones up takes it from them. With the denominator
  "subset" the rows of the other kind are no part of the batch.

  Edits:   batch.advantages (own); if denominator is "subset" batch.mask (×)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: none

  Args:
    mode: "weighted", "positive" (PSR) or "negative" (NSR).
    positive_weight: of right rows with "weighted", >= 0; 0.1. 1 is REINFORCE
      with rewards +1 and -1.
    gamma: discount of the reward per token, in (0, 1]; 1.
    denominator: "subset" takes out the rows of the kind that is not learnt, so
      that the loss is a mean over tokens of the other; "all" keeps them with
      the advantage of the formula. None for "all" with "weighted", "subset"
      otherwise, as in the code.
    threshold: rows with a larger reward are right; 0.5.

  Returns:
    A LossTransform named "positive_negative_reinforcement".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    positive_negative_reinforcement/right_fraction: share of right rows.
    positive_negative_reinforcement/kept_fraction: share of the rows that are
      learnt from.

  Source:
    Zhu et al., The Surprising Effectiveness of Negative Reinforcement in LLM
    Reasoning, arXiv 2506.01347. Code: TianHongZXY/RLVR-Decomposed,
    verl/trainer/ppo/core_algos.py, compute_psr_nsr_outcome_advantage;
    ray_trainer.py filters the rows.
    Differs from that code: without a row of the kind that is learnt the
    gradient is zero, there the update is skipped.
  """
  if mode not in MODES:
    raise ValueError(
      f"positive_negative_reinforcement.mode = {mode!r} must be in {MODES}."
    )
  if not positive_weight >= 0:
    raise ValueError(
      "positive_negative_reinforcement.positive_weight = "
      f"{positive_weight!r} must be >= 0."
    )
  if not 0 < gamma <= 1:
    raise ValueError(
      f"positive_negative_reinforcement.gamma = {gamma!r} must lie in (0, 1]."
    )
  if denominator not in DENOMINATORS:
    raise ValueError(
      f"positive_negative_reinforcement.denominator = {denominator!r} must be "
      f"in {DENOMINATORS}."
    )
  denominator = denominator or ("all" if mode == "weighted" else "subset")

  def advantage(batch, context):
    del context
    last = reduce.last_token(batch.mask)
    reward = jnp.where(last, batch.reward[:, None], 0.0)
    returns = reduce.returns_to_go(reward, batch.mask, gamma)
    if mode == "positive":
      return returns
    if mode == "negative":
      return returns - 1
    right = (batch.reward > threshold)[:, None]
    return jnp.where(right, positive_weight * returns, returns - 1)

  inner = estimate("positive_negative_reinforcement", advantage)

  def prepare(batch, state, context):
    batch, state = inner.prepare(batch, state, context)
    live, right = batch.group >= 0, batch.reward > threshold
    learnt = right if mode == "positive" else ~right
    kept = live if mode == "weighted" else live & learnt
    if denominator == "subset" and mode != "weighted":
      batch = batch.replace(mask=batch.mask & (~live | learnt)[:, None])
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), live)
    metrics = {
      "positive_negative_reinforcement/right_fraction": mean(right),
      "positive_negative_reinforcement/kept_fraction": mean(kept),
    }
    return batch.replace(metrics=batch.metrics | metrics), state

  return inner._replace(prepare=prepare)
