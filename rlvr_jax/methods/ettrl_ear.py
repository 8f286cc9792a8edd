"""ETTRL-EAR: smaller advantages for responses of high entropy."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

FORMS = ("res", "clip")
ENTROPY = Need(Entropy(), when="rollout")


def ettrl_ear(
  form: str = "res", floor: float | None = None, bound: float = 2.0
) -> LossTransform:
  """Reshapes advantages against over-confidence early in training.

    res   A' = A (2 - H / mean of H over the group), H the mean token entropy
          of the response: below 1 for the uncertain, above 1 for the confident
    clip  A' = A kept in [-bound, bound]
  A group without entropy keeps its advantages. Stand behind the estimator.

  Edits:   batch.advantages (×)
  Needs:   nothing; entropy of the policy at rollout if "res"
  State:   none
  Scope:   group; token with form = "clip"
  Neutral: form = "clip" with a bound above all advantages

  Args:
    form: "res" (Adv-Res) or "clip" (Adv-Clip).
    floor: least factor of "res", in [0, 1]; None (paper) for none: it turns
      negative where H is more than twice the mean, and with it the advantage.
    bound: the paper's beta, of "clip", unit of the advantage, > 0; 2.

  Returns:
    A LossTransform named "ettrl_ear".

  Raises:
    ValueError: an unknown form, or a number out of range.

  Metrics:
    ettrl_ear/entropy: mean of H over the responses of groups, nats; only if
      "res".
    ettrl_ear/factor_min: least factor of a response; only if "res".
    ettrl_ear/negative_fraction: share of the responses whose factor is below
      0; only if "res".
    ettrl_ear/clipped_fraction: share of the counted tokens beyond the bound;
      only if "clip".

  Source:
    ETTRL: Balancing Exploration and Exploitation in LLM Test-Time
    Reinforcement Learning Via Entropy Mechanism, arXiv 2508.11356, its part
    EAR. No code was found.
    Differs from that code: there is none to compare with. Responses without
    tokens stay out of the mean of their group.
  """
  if form not in FORMS:
    raise ValueError(f"ettrl_ear.form = {form!r} must be in {FORMS}.")
  if floor is not None and not 0 <= floor <= 1:
    raise ValueError(f"ettrl_ear.floor = {floor} must be None or in [0, 1].")
  if not bound > 0:
    raise ValueError(f"ettrl_ear.bound = {bound} must be > 0.")

  def factor(entropy, group):
    mean = reduce.group_mean(entropy, group)
    known = mean > 0
    found = jnp.where(known, 2 - entropy / jnp.where(known, mean, 1), 1)
    return found if floor is None else jnp.maximum(found, floor)

  def prepare(batch, state, context):
    group = jnp.where(batch.mask.any(axis=1), batch.group, -1)
    live, old = group >= 0, batch.advantages
    mean = lambda x, mask: reduce.masked_mean(x.astype(jnp.float32), mask)
    if form == "res":
      entropy = reduce.row_mean(context.stat(ENTROPY), batch.mask)
      scale = factor(entropy, group)
      edited = old * scale[:, None]
      metrics = {
        "ettrl_ear/entropy": mean(entropy, live),
        "ettrl_ear/factor_min": reduce.masked_min(scale, live),
        "ettrl_ear/negative_fraction": mean(scale < 0, live),
      }
    else:
      kept = reduce.clamp(old, -bound, bound)
      edited = jnp.where(live[:, None], kept, old)
      clipped = mean(edited != old, batch.mask)
      metrics = {"ettrl_ear/clipped_fraction": clipped}
    return batch.replace(
      advantages=edited, metrics=batch.metrics | metrics
    ), state

  needs = (ENTROPY,) if form == "res" else ()
  return LossTransform("ettrl_ear", prepare=prepare, needs=needs)
