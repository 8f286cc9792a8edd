"""Entropy-shaped advantages: a detached bonus where the policy is unsure."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

MOMENTS = {"current": "update", "old": "rollout"}


def entropy_advantage(
  coef: float = 0.4, kappa: float = 2.0, entropy: str = "current"
) -> LossTransform:
  """Adds a bonus for uncertain tokens to the advantages.

  A' = A + min(coef H, |A| / kappa), H the entropy of the next-token
  distribution, held constant. With kappa > 1 no sign flips, and where A = 0 it
  stays. The bonus fades by itself as the entropy falls. Nothing may whiten the
  advantages afterwards.

  Edits:   objective.advantages (+)
  Needs:   entropy of the policy at update; if entropy = "old" at rollout
  State:   none
  Scope:   token
  Neutral: coef = 0

  Args:
    coef: bonus per nat, unit of the advantage, >= 0; 0.4 with GRPO, 0.1 with
      PPO.
    kappa: the bonus is at most |A| / kappa, >= 1; 2. With 1, as in SIREN's
      code, a negative advantage may become 0.
    entropy: "current" takes the policy's at each update, "old" the one the
      responses were sampled with.

  Returns:
    A LossTransform named "entropy_advantage".

  Raises:
    ValueError: a number out of range, or an unknown entropy.

  Metrics:
    entropy_advantage/bonus: mean of what is added, unit of the advantage.
    entropy_advantage/capped_fraction: share of the counted tokens with A not 0
      whose bonus is |A| / kappa.

  Source:
    Cheng et al., Reasoning with Exploration: An Entropy Perspective, arXiv
    2506.14758. No code of the authors was found; that of another paper:
    Linn3a/siren, verl/verl/workers/actor/dp_actor.py, experiment_type
    "baseline_entropy_adv".
    Differs from that code: kappa is 2 as in the paper, there it is 1; the
    bonus is added to the same advantages in every update, there to a tensor
    that may hold one already.
  """
  if not coef >= 0:
    raise ValueError(f"entropy_advantage.coef = {coef!r} must be >= 0.")
  if not kappa >= 1:
    raise ValueError(f"entropy_advantage.kappa = {kappa!r} must be >= 1.")
  if entropy not in MOMENTS:
    raise ValueError(
      f"entropy_advantage.entropy = {entropy!r} must be in {tuple(MOMENTS)}."
    )
  need = Need(Entropy(), when=MOMENTS[entropy])

  def apply(objective, state, context):
    advantages, mask = objective.advantages, objective.mask
    wanted = coef * jax.lax.stop_gradient(context.stat(need))
    most = jnp.abs(advantages) / kappa
    bonus = jnp.minimum(wanted, most)
    capped = (wanted >= most).astype(jnp.float32)
    metrics = {
      "entropy_advantage/bonus": reduce.masked_mean(bonus, mask),
      "entropy_advantage/capped_fraction": reduce.masked_mean(
        capped, (mask > 0) & (advantages != 0)
      ),
    }
    return objective.replace(
      advantages=advantages + bonus, metrics=objective.metrics | metrics
    ), state

  return LossTransform("entropy_advantage", apply=apply, needs=(need,))
