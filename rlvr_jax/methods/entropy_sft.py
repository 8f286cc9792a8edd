"""Entropy-SFT: cross-entropy on the tokens the model is wrong and sure of."""

import fractions

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

ENTROPY = Need(Entropy())


def entropy_sft(
  fraction: float = 0.8,
  coef: float = 0.8,
  num_items: int | None = None,
  scope_rows: int | None = None,
) -> LossTransform:
  """Learns from the tokens of largest cross-entropy less entropy.

  With CE = -log pi of a token and H the entropy there, the K tokens with the
  largest CE - coef H are kept, K = max(floor(fraction * N), 1) of N. Their loss
  is A CE, the others neither have one nor count. What is left out is what the
  model knows, or is rightly unsure of: pushing that up costs entropy and
  teaches little. H chooses, it is no part of the loss.

  In the supervised stage A = 1 and this is the method as published. Behind an
  estimator it is the plain policy gradient on chosen tokens; tokens with A = 0
  are not among the N, so with the right responses alone
  (`positive_negative_reinforcement`, "positive") the policy learns from its own
  demonstrations.

  Edits:   objective.surrogate (own); objective.mask (×); if num_items is given
           objective.weights (×)
  Needs:   entropy of the policy at update
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: none; fraction = 1 is cross-entropy

  Tokens of equal rank go by their place, so the order of the rows may matter.

  Args:
    fraction: share of the tokens that is learnt, in (0, 1]; 0.8 (the code's own
      default is 0.2).
    coef: of the entropy in the ranking, >= 0; 0.8 (1.0 in the code).
    num_items: tokens of the whole optimizer step, if the minibatch is a part of
      one: the loss is then the sum over floor(fraction * num_items) in place of
      K, with the aggregation "token-mean". None for a minibatch that is a step.
    scope_rows: rows over which K and the choice are taken, >= 1; None for the
      whole minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "entropy_sft".

  Raises:
    ValueError: a number out of range.

  Metrics:
    entropy_sft/kept_fraction: K over N.
    entropy_sft/cross_entropy: mean CE of all N tokens, nats.
    entropy_sft/entropy: mean H of all N tokens, nats.
    entropy_sft/kept_entropy: mean H of the K tokens, nats.

  Source:
    Wang et al., Light-IF: Endowing LLMs with Generalizable Reasoning via
    Preview and Self-Checking for Complex Instruction Following, arXiv
    2508.03178. Code: Qihoo360/Light-IF, custom_entropy_trainer.py, a patch of
    LLaMA-Factory.
    Differs from that code: K is of the whole minibatch, not of a micro-batch
    (scope_rows = k restores that, with one mean over all kept tokens); equal
    ranks go by place, there it is not said which; fraction times a count is
    rounded down exactly, there as a binary product.
  """
  if not 0 < fraction <= 1:
    raise ValueError(f"entropy_sft.fraction = {fraction!r} must lie in (0, 1].")
  if not coef >= 0:
    raise ValueError(f"entropy_sft.coef = {coef!r} must be >= 0.")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"entropy_sft.scope_rows = {scope_rows!r} must be None or >= 1."
    )
  share = fractions.Fraction(fraction).limit_denominator(10**6)
  if num_items is not None and num_items * share < 1:
    raise ValueError(
      f"entropy_sft.num_items = {num_items!r} must be None or at least 1 / "
      f"fraction = {1 / fraction:g}."
    )

  def choose(rank, live):
    return reduce.top_mask(rank, live, reduce.count_of(fraction, live))

  def surrogate(objective, context):
    logp = objective.log_ratio + context.batch.old_logp
    return -objective.advantages * logp

  def apply(objective, state, context):
    nats = jax.lax.stop_gradient(context.stat(ENTROPY))
    loss = -jax.lax.stop_gradient(context.logp)
    live = (objective.mask > 0) & (objective.advantages != 0)
    kept = reduce.in_blocks(choose, scope_rows, loss - coef * nats, live)
    number = kept.astype(jnp.float32)
    metrics = {
      "entropy_sft/kept_fraction": reduce.masked_mean(number, live),
      "entropy_sft/cross_entropy": reduce.masked_mean(loss, live),
      "entropy_sft/entropy": reduce.masked_mean(nats, live),
      "entropy_sft/kept_entropy": reduce.masked_mean(nats, kept),
    }
    edited = objective.replace(
      surrogate=surrogate,
      mask=objective.mask * number,
      metrics=objective.metrics | metrics,
    )
    if num_items is not None:
      scale = edited.mask.sum() / int(share * num_items)
      edited = edited.replace(weights=edited.weights * scale)
    return edited, state

  return LossTransform(
    "entropy_sft", apply=apply, needs=(ENTROPY,), owns=("surrogate",)
  )
