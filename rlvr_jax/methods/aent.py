"""AEnt: a bonus on the entropy over the likelier part of the vocabulary."""

from rlvr_jax import reduce, stats
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need


def aent(coef: float = 2e-4, share: float = 0.3) -> LossTransform:
  """Adds the entropy over a clamped vocabulary to the objective.

  loss per token -= coef H_c. H_c is the entropy of the policy after the
  floor(share V) least likely tokens of each position are removed, so the bonus
  spreads probability among likely tokens and gives none to the tail.

  Edits:   objective.added (+)
  Needs:   clamped entropy of the policy at update
  State:   none
  Scope:   token
  Neutral: coef = 0

  Args:
    coef: of the bonus, per nat, >= 0; 2e-4.
    share: of the vocabulary that is removed, in [0, 1); 0.3. With 0 it is the
      plain entropy bonus.

  Returns:
    A LossTransform named "aent".

  Raises:
    ValueError: coef or share out of range.

  Metrics:
    aent/entropy: mean H_c of the counted tokens, nats.

  Source:
    On Entropy Control in LLM-RL Algorithms, arXiv 2509.03493. The authors'
    repository was not available; an excerpt of its helper was read.
    Differs from that code: the coefficient is fixed; the authors' rule that
    adapts it was not seen. Tokens as likely as the last one that stays do stay.
  """
  if not coef >= 0:
    raise ValueError(f"aent.coef = {coef!r} must be >= 0.")
  if not 0 <= share < 1:
    raise ValueError(f"aent.share = {share!r} must lie in [0, 1).")
  clamped = Need(stats.ClampedEntropy(share))

  def apply(objective, state, context):
    entropy = context.stat(clamped)
    metrics = {"aent/entropy": reduce.masked_mean(entropy, objective.mask)}
    return objective.replace(
      added=objective.added - coef * entropy,
      metrics=objective.metrics | metrics,
    ), state

  return LossTransform("aent", apply=apply, needs=(clamped,))
