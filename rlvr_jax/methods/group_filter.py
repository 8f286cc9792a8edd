"""Dynamic sampling as a mask: groups with nothing to compare do not count."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform

METRICS = ("correct", "reward")


def group_filter(
  metric: str = "correct", threshold: float = 0.5
) -> LossTransform:
  """Takes out the groups whose responses are all right or all wrong.

  A group is kept if the largest metric of its responses exceeds the smallest,
  or if it has one response. All tokens of the others stop counting, so that
  the loss is a mean over groups with a signal; their advantages are zero with
  most estimators, and they would only dilute it. Stand first in the chain:
  the metric is that of the verifier, not of a shaped reward.

  Edits:   batch.mask (×)
  Needs:   nothing
  State:   none
  Scope:   group
  Neutral: none; a batch without such groups stays as it is

  Args:
    metric: "correct" compares reward > threshold, "reward" the reward itself;
      "correct" in DAPO's recipes.
    threshold: rows with a larger reward are right; 0.5.

  Returns:
    A LossTransform named "group_filter".

  Raises:
    ValueError: an unknown metric.

  Metrics:
    group_filter/kept_fraction: share of the groups that are kept.
    group_filter/solved_fraction: share of the groups that are dropped and
      right, by threshold.

  Source:
    Yu et al., DAPO, arXiv 2503.14476, section 3.2. Code: volcengine/verl,
    recipe/dapo/dapo_ray_trainer.py.
    Differs from that code: no prompts are sampled in place of the dropped
    ones, which is `config.rollout.dynamic` of a run, so a step has fewer rows
    that count, and a minibatch may have none; largest > smallest in place of
    a deviation > 0, which rounding of equal floats can pass.
  """
  if metric not in METRICS:
    raise ValueError(f"group_filter.metric = {metric!r} must be in {METRICS}.")

  def prepare(batch, state, context):
    del context
    group, live = batch.group, batch.group >= 0
    right = (batch.reward > threshold).astype(jnp.float32)
    value = right if metric == "correct" else batch.reward
    count = reduce.group_count(group)
    kept = reduce.group_is_mixed(value, group)
    solved = live & ~kept & (right > 0)
    groups = jnp.maximum(reduce.group_total(group), 1)
    share = lambda rows: (rows / jnp.maximum(count, 1)).sum() / groups
    metrics = {
      "group_filter/kept_fraction": share(live & kept),
      "group_filter/solved_fraction": share(solved),
    }
    return batch.replace(
      mask=batch.mask & (kept | ~live)[:, None],
      metrics=batch.metrics | metrics,
    ), state

  return LossTransform("group_filter", prepare=prepare)
