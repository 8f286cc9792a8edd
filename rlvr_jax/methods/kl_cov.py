"""KL-Cov: a KL penalty on the tokens of highest covariance only."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.objective import unclipped
from rlvr_jax.transform import LossTransform

PENALTIES = ("abs", "k1", "k2", "k3")


def kl_cov(
  fraction: float = 2e-3,
  coef: float = 1.0,
  penalty: str = "abs",
  clip: bool = False,
  max_log_ratio: float | None = 20.0,
  scope_rows: int | None = None,
) -> LossTransform:
  """Holds the tokens of highest covariance close to the sampling policy.

  cov = (A - mean A)(log pi - mean log pi) over the counted tokens, held
  constant. The K tokens with the largest cov, K = max(floor(fraction * counted
  tokens), 1), get coef * D added to their loss, with d = log pi - log pi_old
  and D = |d| ("abs"), -d ("k1"), d²/2 ("k2") or exp(d) - 1 - d ("k3"). The
  surrogate is -A r without clipping, so strictly on-policy nothing changes.
  With scope_rows the order of the rows matters.

  Edits:   objective.added (+), objective.surrogate (own, if not clip)
  Needs:   nothing
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: coef = 0 with clip = True

  Args:
    fraction: share of the counted tokens penalised, in (0, 1]; 2e-3 for
      Qwen2.5-7B, 2e-4 for Qwen2.5-32B.
    coef: weight of the penalty, per nat, >= 0; 1.0.
    penalty: estimator of KL(pi_old || pi) at the sampled token; "abs" in the
      code.
    clip: keep the surrogate of the chain instead of the unclipped one.
    max_log_ratio: bound on |d| inside every exponential, nats, > 0; None for
      no bound, as published: exp overflows from 88 nats on, and one such token
      is enough to have the whole update refused.
    scope_rows: rows over which means, K and the ranking are taken, >= 1; None
      for the whole minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "kl_cov".

  Raises:
    ValueError: unknown penalty, or another parameter out of range.

  Metrics:
    kl_cov/selected_fraction: share of the counted tokens penalised.
    kl_cov/penalty_nats: mean of D over the penalised tokens.
    kl_cov/log_ratio_abs_nats: mean of |d| over the counted tokens.
    kl_cov/covariance: mean of cov, advantage times nats.

  Source:
    Cui et al., The Entropy Mechanism of Reinforcement Learning for Reasoning
    Language Models, arXiv 2505.22617, equations 13-14. Code:
    volcengine/verl, verl/trainer/ppo/core_algos.py,
    compute_policy_loss_kl_cov.
    Differs from that code: statistics are of the whole minibatch, not of the
    micro-batch of one rank (scope_rows = k restores that). |d| below 1e-5
    nats, the rounding between two passes of one policy, counts as 0, and in
    an exponential it is bounded (max_log_ratio = None is theirs). The paper
    writes a KL divergence where the code has |d|; "k1" to "k3" are ours.
  """
  if not 0 < fraction <= 1:
    raise ValueError(f"kl_cov.fraction = {fraction} must lie in (0, 1].")
  if not coef >= 0:
    raise ValueError(f"kl_cov.coef = {coef} must be >= 0.")
  if penalty not in PENALTIES:
    raise ValueError(f"kl_cov.penalty = {penalty!r} must be in {PENALTIES}.")
  if max_log_ratio is not None and not max_log_ratio > 0:
    raise ValueError(
      f"kl_cov.max_log_ratio = {max_log_ratio} must be None or > 0."
    )
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(f"kl_cov.scope_rows = {scope_rows} must be None or >= 1.")

  def choose(advantages, logp, mask):
    cov = reduce.centred_product(advantages, logp, mask)
    count = reduce.count_of(fraction, mask)
    return cov, reduce.top_mask(cov, mask, count)

  def divergence(d):
    if penalty == "abs":
      return reduce.absolute(d, reduce.ROUNDING)
    if penalty == "k1":
      return -d
    if penalty == "k2":
      return d**2 / 2
    if max_log_ratio is None:
      return jnp.exp(d) - 1 - d
    return jnp.exp(reduce.clamp(d, -max_log_ratio, max_log_ratio)) - 1 - d

  def apply(objective, state, context):
    mask = objective.mask > 0
    # The token's own ratio, also where the chain has made log_ratio another.
    d = context.logp - context.batch.old_logp
    cov, selected = reduce.in_blocks(
      choose,
      scope_rows,
      objective.advantages,
      jax.lax.stop_gradient(context.logp),
      mask,
    )
    value = divergence(jnp.where(selected, d, 0.0))
    metrics = {
      "kl_cov/selected_fraction": reduce.masked_mean(
        selected.astype(jnp.float32), mask
      ),
      "kl_cov/penalty_nats": reduce.masked_mean(value, selected),
      "kl_cov/log_ratio_abs_nats": reduce.masked_mean(jnp.abs(d), mask),
      "kl_cov/covariance": reduce.masked_mean(cov, mask),
    }
    objective = objective.replace(
      added=objective.added + coef * value,
      metrics=objective.metrics | metrics,
    )
    if not clip:
      objective = objective.replace(surrogate=unclipped(max_log_ratio))
    return objective, state

  owns = () if clip else ("surrogate",)
  return LossTransform("kl_cov", apply=apply, owns=owns)
