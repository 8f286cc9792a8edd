"""Forking tokens: policy gradient on the most uncertain tokens only."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

CHOICES = {
  "denominator": ("selected", "all"),
  "selection": ("top_k", "quantile"),
  "population": ("minibatch", "row"),
  "rounding": ("ceil", "floor"),
  "entropy": ("current", "old"),
}


def forking_tokens(
  fraction: float = 0.2,
  denominator: str = "selected",
  selection: str = "top_k",
  population: str = "minibatch",
  rounding: str = "ceil",
  strict: bool = False,
  entropy: str = "current",
  bottom: bool = False,
  scope_rows: int | None = None,
) -> LossTransform:
  """Trains on the share of tokens with the highest entropy.

  Of N counted tokens the K = max(ceil(fraction N), 1) with the largest entropy
  H keep their policy loss. With denominator "selected" the others stop
  counting, so a kept token weighs 1 / fraction times as much as with "all". Of
  equal entropies the earlier one goes first, so the order of the rows matters
  where tokens tie, unless selection is "quantile".

  Edits:   objective.mask (×, unless denominator is "all"),
           objective.weights (×, if denominator is "all")
  Needs:   entropy of the policy at update, or at rollout for entropy = "old"
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given; row if population
           is "row"
  Neutral: fraction = 1, neither strict nor bottom, keeps every token

  Args:
    fraction: share of the counted tokens kept, in (0, 1]; 0.2.
    denominator: "selected" divides by the kept tokens (second version of the
      paper, code), "all" by all tokens (first version, TRL).
    selection: "top_k" keeps exactly K, "quantile" all with H >= the linear
      quantile of 1 - fraction (TRL).
    population: tokens ranked together, those of the "minibatch", or of each
      "row" by itself (SIREN's baseline).
    rounding: of fraction N, "ceil", or "floor" (Lp-Reg's baseline); read by
      "top_k" only.
    strict: keep H > the quantile only (SIREN's baseline); read by "quantile"
      only.
    entropy: of the "current" policy, or of the "old" one, at sampling time.
    bottom: keep the tokens of lowest entropy instead; the paper's counter-test
      with fraction 0.8.
    scope_rows: rows ranked together, >= 1; None for the whole minibatch. The
      code takes its micro-batch. Not read if population is "row".

  Returns:
    A LossTransform named "forking_tokens".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    forking_tokens/selected_fraction: share of the counted tokens kept.
    forking_tokens/threshold_nats: least entropy of a kept token.
    forking_tokens/entropy: mean of H over the counted tokens, nats.

  Source:
    Wang et al., Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive
    Effective Reinforcement Learning for LLM Reasoning, arXiv 2506.01939,
    equation 6. Code: Shenzhi-Wang/Beyond-the-80-20-Rule-RLVR,
    verl/trainer/ppo/core_algos.py, get_global_entropy_top_mask;
    huggingface/trl, grpo_trainer.py, top_entropy_quantile.
    Differs from that code: tokens are ranked over the whole minibatch
    (scope_rows = k restores the micro-batch). Under "selected" the terms added
    by other transforms count on the kept tokens only, where the code keeps the
    full mask for its KL loss, and a row without kept tokens is no row of a mean
    over rows, where the code counts it.
  """
  given = {
    "denominator": denominator,
    "selection": selection,
    "population": population,
    "rounding": rounding,
    "entropy": entropy,
  }
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(
        f"forking_tokens.{name} = {value!r} must be in {CHOICES[name]}."
      )
  if not 0 < fraction <= 1:
    raise ValueError(f"forking_tokens.fraction = {fraction} must be in (0, 1].")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(
      f"forking_tokens.scope_rows = {scope_rows} must be None or >= 1."
    )
  need = Need(Entropy(), when="rollout" if entropy == "old" else "update")
  # The tokens of highest entropy that are kept, or left out if bottom.
  share = 1 - fraction if bottom else fraction

  def highest(nats: Array, mask: Array) -> Array:
    if selection == "quantile":
      threshold = reduce.masked_quantile(nats, mask, 1 - share)
      return mask & (nats > threshold if strict else nats >= threshold)
    return reduce.top_mask(nats, mask, reduce.count_of(share, mask, rounding))

  def choose(nats: Array, mask: Array) -> Array:
    rank = jax.vmap(highest) if population == "row" else highest
    found = rank(nats, mask)
    return mask & ~found if bottom else found

  def apply(objective, state, context):
    mask, nats = objective.mask > 0, context.stat(need)
    nats = jax.lax.stop_gradient(nats)
    rows = None if population == "row" else scope_rows
    kept = reduce.in_blocks(choose, rows, nats, mask)
    metrics = {
      "forking_tokens/selected_fraction": reduce.masked_mean(
        kept.astype(jnp.float32), mask
      ),
      "forking_tokens/threshold_nats": reduce.masked_min(nats, kept),
      "forking_tokens/entropy": reduce.masked_mean(nats, mask),
    }
    field = "mask" if denominator == "selected" else "weights"
    edited = getattr(objective, field) * jnp.where(kept, 1.0, 0.0)
    return objective.replace(
      metrics=objective.metrics | metrics, **{field: edited}
    ), state

  return LossTransform("forking_tokens", apply=apply, needs=(need,))
