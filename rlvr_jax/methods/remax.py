"""ReMax: the reward of the greedy response as the baseline."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def remax() -> LossTransform:
  """Sets each response's advantage to its reward above the greedy response's.

  One more response per prompt is decoded greedily. A_i = R_i - R_greedy, the
  same for every counted token of response i; then the greedy rows leave the
  rollout. A greedy response whose reward is unknown gives the baseline 0.

  Edits:   draws (+), batch rows (the greedy ones go), batch.advantages (own)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; a response with the reward of the greedy one gets zero

  Returns:
    A LossTransform named "remax".

  Metrics:
    remax/baseline: mean reward of the greedy responses.

  Source:
    Li et al., ReMax, arXiv 2310.10505. Code: volcengine/verl,
    verl/trainer/ppo/core_algos.py, compute_remax_outcome_advantage.
    Differs from that code: no difference.
  """

  def plan(draws, state):
    del state
    greedy = draws[0]._replace(
      name="remax",
      per_prompt=1,
      temperature=0.0,
      top_k=0,
      top_p=1.0,
      min_p=0.0,
    )
    return *draws, greedy

  def prepare(batch, state, context):
    number, count = context.draw("remax")
    greedy = batch.source == number
    known = greedy & (batch.group >= 0)
    # Replayed rows answer no prompt of the step and read the last slot.
    slot = jnp.where(batch.prompt < 0, len(greedy), batch.prompt)
    earned = jnp.where(known, batch.reward, 0.0)
    of_prompt = jax.ops.segment_sum(earned, slot, len(greedy) + 1)
    advantages = (batch.reward - of_prompt[slot])[:, None] * batch.mask
    own = (batch.group >= 0)[:, None]
    baseline = reduce.masked_mean(batch.reward, known)
    batch = batch.replace(
      advantages=jnp.where(own, advantages, batch.advantages),
      metrics=batch.metrics | {"remax/baseline": baseline},
    )
    stay = jnp.argsort(greedy, stable=True)[: len(greedy) - count]
    batch = batch.take(stay)
    # Numbers of groups may lie past the rows left.
    return batch.replace(group=reduce.renumbered(batch.group)), state

  return LossTransform(
    "remax", plan=plan, prepare=prepare, owns=("advantages",)
  )
