"""Dr.BoT: responses and groups that teach nothing do not count."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.notes import ANSWER, Unreadable
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

UNREADABLE = Need(Unreadable(), when="rollout")


def dr_bot(
  incomplete: bool = True,
  max_length: int = 0,
  gram: int = 20,
  repeats: int = 10,
  unreadable: bool = True,
  share: float = 1.0,
) -> LossTransform:
  """Takes broken responses out of the loss, not out of their groups.

  No token counts of a response without a final answer, of max_length tokens or
  more, with a run of `gram` tokens that occurs `repeats` times or more, or with
  bytes that are no text. It stays in the statistics of its group, so that the
  others are compared with it. Of the groups only the `share` of largest
  standard deviation of the rewards counts. With `dr_grpo`, `ppo_clip` of bounds
  0.2 and 0.28 and the aggregation "seq-mean-token-sum-norm" it is the loss that
  `spear` builds on.

  Edits:   batch.mask (×)
  Needs:   nothing; at rollout note of the answers if incomplete, note of what
           is unreadable if unreadable
  State:   none
  Scope:   sequence; step for the groups
  Neutral: none; a batch of whole responses stays as it is if share = 1

  Args:
    incomplete: leave out responses without an answer, such as those that end
      with a call of a tool.
    max_length: tokens of a response that was cut off, >= 0; 0 is the padded
      length.
    gram: tokens of a run, >= 0; 20. Runs may overlap. 0 looks at none.
    repeats: how often one occurs in a response that is left out, >= 2; 10.
    unreadable: leave out responses with bytes that are no text.
    share: of the groups, rounded down, at least one, in (0, 1]; 1, in the
      recipes of agents 0.75.

  Returns:
    A LossTransform named "dr_bot".

  Raises:
    ValueError: a number out of range.

  Metrics:
    dr_bot/incomplete_fraction: share of the rows with a group; if incomplete.
    dr_bot/overlong_fraction: likewise.
    dr_bot/repetitive_fraction: likewise; if gram > 0.
    dr_bot/unreadable_fraction: likewise; if unreadable.
    dr_bot/kept_fraction: share of the rows with a group that still count.

  Source:
    Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive
    Exploration for Agentic Reinforcement Learning (SPEAR), arXiv 2509.22601.
    Code: TencentYoutuResearch/SPEAR, rollout_filter_type = "std" for groups.
    Differs from that code: a response is incomplete if the verifier finds no
    answer in it; a run is of neighbours that the policy chose; unreadable is
    what decoding could not read.
  """
  least = {"max_length": (max_length, 0), "gram": (gram, 0)}
  least["repeats"] = repeats, 2
  for name, (value, bound) in least.items():
    if not value >= bound:
      raise ValueError(f"dr_bot.{name} = {value} must be >= {bound}.")
  if not 0 < share <= 1:
    raise ValueError(f"dr_bot.share = {share} must lie in (0, 1].")

  def broken(batch, context):
    """bool[B] by the name of what is wrong."""
    limit = max_length or batch.mask.shape[1]
    found = {"overlong": reduce.row_length(batch.mask) >= limit}
    if incomplete:
      found["incomplete"] = context.stat(ANSWER) < 0
    if gram:
      most = reduce.repetition(batch.response, batch.mask, gram)
      found["repetitive"] = most >= repeats
    if unreadable:
      found["unreadable"] = context.stat(UNREADABLE) > 0
    return found

  def varied(batch):
    """bool[B]: rows of the groups whose rewards differ most."""
    group = batch.group
    first = (group >= 0) & (
      reduce.group_rank(jnp.zeros(group.shape), group) < 1
    )
    count = reduce.count_of(share, first)
    deviation = reduce.group_std(batch.reward, group)
    chosen = reduce.top_mask(deviation, first, count)
    return reduce.group_sum(chosen.astype(jnp.float32), group) > 0

  def prepare(batch, state, context):
    rows = batch.group >= 0
    found = broken(batch, context)
    kept = ~jnp.stack([*found.values()]).any(axis=0)
    if share < 1:
      kept &= varied(batch)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), rows)
    metrics = {f"dr_bot/{k}_fraction": mean(v) for k, v in found.items()}
    metrics["dr_bot/kept_fraction"] = mean(kept)
    return batch.replace(
      mask=batch.mask & (kept | ~rows)[:, None],
      metrics=batch.metrics | metrics,
    ), state

  needs = (ANSWER,) * incomplete + (UNREADABLE,) * unreadable
  return LossTransform("dr_bot", prepare=prepare, needs=needs)
