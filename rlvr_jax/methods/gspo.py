"""GSPO: one importance ratio per response in place of one per token."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform

FORMS = ("token", "sequence")
MAX_LOG_RATIO = 10.0  # nats, from above only


def gspo(
  low: float = 3e-4, high: float = 4e-4, form: str = "token"
) -> LossTransform:
  """Clips whole responses by the length-normalised ratio of their likelihoods.

  With the log ratio d of a token and s_i the mean of d over the tokens of
  response i, every token gets the log ratio s_i, at most 10 nats, and the
  bounds 1 - low and 1 + high. In the form "token" the slope is that of the
  token's own d, so a token with advantage A pulls by A exp(s_i); in the form
  "sequence" it is that of s_i. Where the advantage is constant in a response
  the two have the same gradient. Published with the aggregation
  "seq-mean-token-mean", which the loss of the run must be set to: a token mean
  would count a response by its length. Stand behind what edits the mask.

  Edits:   objective.log_ratio (own), objective.clip_low (own),
           objective.clip_high (own)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: none; responses of one token under the same bounds are as in PPO

  Args:
    low: the lower bound of the ratio is 1 - low, in [0, 1]; 3e-4.
    high: the upper bound of the ratio is 1 + high, >= 0; inf is none; 4e-4. The
      mean over a response moves far less than one token's ratio, hence bounds
      so narrow.
    form: "token" (GSPO-token, verl) or "sequence" (TRL's
      importance_sampling_level).

  Returns:
    A LossTransform named "gspo".

  Raises:
    ValueError: a bound out of range, or an unknown form.

  Metrics:
    gspo/log_ratio_abs_nats: mean of |s_i| over the counted tokens.

  Source:
    Zheng et al., Group Sequence Policy Optimization, arXiv 2507.18071. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py, compute_policy_loss_gspo;
    huggingface/trl, grpo_trainer.py.
    Differs from that code: verl aggregates by "seq-mean-token-mean" whatever
    is configured, here it has to be configured. Below -20 nats s_i has no
    slope, where the ratio is less than 3e-9.
  """
  if not 0 <= low <= 1:
    raise ValueError(f"gspo.low = {low} must lie in [0, 1].")
  if not high >= 0:
    raise ValueError(f"gspo.high = {high} must be >= 0.")
  if form not in FORMS:
    raise ValueError(f"gspo.form = {form!r} must be one of {FORMS}.")
  stop = jax.lax.stop_gradient

  def sequence(log_ratio, mask):
    mean = reduce.row_mean(log_ratio, mask)[:, None]
    if form == "token":
      mean = stop(mean) + (log_ratio - stop(log_ratio))
    mean = jnp.broadcast_to(mean, log_ratio.shape)
    return reduce.clamp(mean, -jnp.inf, MAX_LOG_RATIO)

  def apply(objective, state, context):
    del context
    mask = objective.mask > 0
    log_ratio = sequence(objective.log_ratio, mask)
    size = reduce.masked_mean(jnp.abs(stop(log_ratio)), mask)
    metrics = objective.metrics | {"gspo/log_ratio_abs_nats": size}
    return objective.replace(
      log_ratio=log_ratio,
      clip_low=jnp.full_like(objective.clip_low, 1 - low),
      clip_high=jnp.full_like(objective.clip_high, 1 + high),
      metrics=metrics,
    ), state

  owns = ("log_ratio", "clip_low", "clip_high")
  return LossTransform("gspo", apply=apply, owns=owns)
