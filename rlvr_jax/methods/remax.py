"""ReMax: the reward of the greedy response as the baseline."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def remax() -> LossTransform:
  """Sets each response's advantage to its reward above the greedy response's.

  One more response per prompt is decoded greedily. A_i = R_i - R_greedy, the
  same for every counted token of response i; then the greedy rows leave the
  rollout. A greedy response whose reward is unknown gives the baseline 0. The
  prompt of a row is told by the number of its group among the main rows and by
  its place among the greedy ones, so the order of the rows matters; stand
  before methods that take rows away or bring in others.

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

  def prompts(batch, count):
    """i32[B]: the prompt of each row that was not decoded greedily."""
    own, rows = batch.group >= 0, len(batch.group)
    numbers = jnp.where(own, batch.group, rows)
    slot = jnp.maximum(batch.source, 0)
    first = jax.ops.segment_min(numbers, slot, num_segments=rows)[slot]
    # The main draw comes first, so its groups bear the numbers of the prompts.
    first = jnp.where(batch.source > 0, first, 0)
    return jnp.clip(batch.group - first, 0, count - 1)

  def prepare(batch, state, context):
    number, count = context.draw("remax")
    greedy = batch.source == number
    known = greedy & (batch.group >= 0)
    earned = jnp.where(known, batch.reward, 0.0)
    of_prompt = earned[jnp.argsort(~greedy, stable=True)[:count]]
    advantages = batch.reward - of_prompt[prompts(batch, count)]
    advantages = advantages[:, None] * batch.mask
    own = (batch.group >= 0)[:, None]
    baseline = reduce.masked_mean(batch.reward, known)
    batch = batch.replace(
      advantages=jnp.where(own, advantages, batch.advantages),
      metrics=batch.metrics | {"remax/baseline": baseline},
    )
    return _without(batch, greedy, count), state

  return LossTransform(
    "remax", plan=plan, prepare=prepare, owns=("advantages",)
  )


def _without(batch, gone, count):
  """The batch without `count` rows, those marked."""
  stay = jnp.argsort(gone, stable=True)[: len(gone) - count]
  kept = jax.tree.map(lambda x: x[stay], batch.replace(metrics={}))
  # Numbers of groups may lie past the rows left.
  group = reduce.renumbered(kept.group)
  return kept.replace(group=group, metrics=batch.metrics)
