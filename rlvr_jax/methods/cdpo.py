"""CDPO: a bonus for complexity, entropy times distance from uniform."""

import dataclasses
import math

from rlvr_jax import reduce
from rlvr_jax.stats import FromMoments
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Moments, Need


@dataclasses.dataclass(frozen=True)
class Complexity(FromMoments):
  """Entropy times the squared distance from uniform, nats.

  Attributes:
    normalize: bring both factors into [0, 1].
  """

  normalize: bool = False

  def from_moments(self, moments: Moments) -> Array:
    """H (sum p² - 1/V); 0 for uniform and for deterministic distributions."""
    size = moments.vocabulary
    product = moments.entropy * (moments.sum_p2 - 1 / size)
    if not self.normalize or size < 2:
      return product
    return product / (math.log(size) * (1 - 1 / size))


def cdpo(coef: float = 1e-3, normalize: bool = False) -> LossTransform:
  """Adds the complexity of the next-token distribution to the objective.

  loss per token -= coef H D with H the entropy and D = sum (p - 1/V)² over the
  vocabulary of V tokens. The product is 0 for a deterministic and for a uniform
  distribution: it pushes a collapsed policy out and a random one in. Both
  factors carry gradient.

  Edits:   objective.added (+)
  Needs:   complexity of the policy at update
  State:   none
  Scope:   token
  Neutral: coef = 0

  Args:
    coef: weight of the complexity, per nat, >= 0; 1e-2 to 1e-1 in games, none
      published for language models: that of an entropy bonus, 1e-3.
    normalize: divide H by log V and D by 1 - 1/V, so that both lie in [0, 1].

  Returns:
    A LossTransform named "cdpo".

  Raises:
    ValueError: coef out of range.

  Metrics:
    cdpo/complexity: mean of H D over the counted tokens, nats.

  Source:
    Serfilippi et al., Complexity-Driven Policy Optimization, arXiv 2509.20509.
    Code: Lucaserf/CR-PPO, crppo_stablebaselines/CRPPO.py.
    Differs from that code: no difference; normalize is ours.
  """
  if not coef >= 0:
    raise ValueError(f"cdpo.coef = {coef} must be >= 0.")
  need = Need(Complexity(normalize))

  def apply(objective, state, context):
    complexity = context.stat(need)
    level = reduce.masked_mean(complexity, objective.mask)
    return objective.replace(
      added=objective.added - coef * complexity,
      metrics=objective.metrics | {"cdpo/complexity": level},
    ), state

  return LossTransform("cdpo", apply=apply, needs=(need,))
