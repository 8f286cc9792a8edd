"""PPO's clipped surrogate with its own bounds: clip-higher and dual clip."""

import jax.numpy as jnp

from rlvr_jax import objective, reduce
from rlvr_jax.transform import LossTransform


def ppo_clip(
  low: float = 0.2,
  high: float = 0.2,
  dual: float | None = None,
  max_log_ratio: float | None = 20.0,
) -> LossTransform:
  """Sets the bounds within which the ratio earns gradient.

  loss_t = max(-A r, -A clip(r, 1 - low, 1 + high)), and where A < 0 at most
  -A dual, with r = exp(log ratio) and |log ratio| <= max_log_ratio. Rare
  tokens can gain little probability under high = 0.2; high = 0.28 lets them
  rise and keeps the entropy up (clip-higher). The dual clip bounds the loss
  of a token that became much likelier although its advantage is negative.

  Edits:   objective.clip_low (own), objective.clip_high (own),
           objective.surrogate (own, if dual or max_log_ratio is not default)
  Needs:   nothing
  State:   none
  Scope:   token
  Neutral: the bounds of `loss(clip=(low, high))` change nothing

  Args:
    low: the ratio's lower bound is 1 - low, in [0, 1]; 1 is none.
    high: the ratio's upper bound is 1 + high, >= 0; inf is none. PPO and
      GRPO 0.2, DAPO 0.28.
    dual: bound on the ratio of tokens with negative advantage, > 1; None
      off. 3.0 in verl, 10.0 in DAPO.
    max_log_ratio: bound on |log ratio|, nats, > 0; None off (TRL).

  Returns:
    A LossTransform named "ppo_clip".

  Raises:
    ValueError: a parameter outside its range.

  Metrics:
    ppo_clip/dual_fraction: counted tokens the dual clip stops, if dual.

  Source:
    Schulman et al., PPO, arXiv 1707.06347, eq. 7; Ye et al., dual clip,
    arXiv 1912.09729, eq. 5; Yu et al., DAPO, arXiv 2503.14476, section 3.1.
    Code: volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_policy_loss_vanilla.
    Differs from that code: the dual clip is off by default, there 3.0.
  """
  if not 0 <= low <= 1:
    raise ValueError(f"ppo_clip.low = {low} must lie in [0, 1].")
  if not high >= 0:
    raise ValueError(f"ppo_clip.high = {high} must be >= 0.")
  if dual is not None and not dual > 1:
    raise ValueError(f"ppo_clip.dual = {dual} must be > 1, or None.")
  if max_log_ratio is not None and not max_log_ratio > 0:
    raise ValueError(
      f"ppo_clip.max_log_ratio = {max_log_ratio} must be > 0, or None."
    )
  swaps = dual is not None or max_log_ratio != 20.0
  surrogate = objective.clipped(dual, max_log_ratio)

  def apply(record, state, context):
    del context
    record = record.replace(
      clip_low=jnp.full_like(record.clip_low, 1 - low),
      clip_high=jnp.full_like(record.clip_high, 1 + high),
    )
    if swaps:
      record = record.replace(surrogate=surrogate)
    if dual is not None:
      beyond = objective.ratio(record, max_log_ratio) > dual
      stopped = (beyond & (record.advantages < 0)).astype(jnp.float32)
      fraction = reduce.masked_mean(stopped, record.mask)
      metrics = record.metrics | {"ppo_clip/dual_fraction": fraction}
      record = record.replace(metrics=metrics)
    return record, state

  owns = ("clip_low", "clip_high") + (("surrogate",) if swaps else ())
  return LossTransform("ppo_clip", apply=apply, owns=owns)
