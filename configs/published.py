"""What the configurations of real experiments share."""

import math

from ml_collections import ConfigDict

from configs import common, default, laptop, recipe
from rlvr_jax.training import hyper, relations

BOXED = (
  "Please reason step by step, and put your final answer within \\boxed{}."
)


def experiment(
  small: str, arg: str | None, values: recipe.Values
) -> ConfigDict:
  """What `get_config(arg)` of an experiment returns.

  Args:
    small: name of a small model of the same family.
    arg: "method=NAME" puts the numbers that the method was published with on
      top of those of the experiment, which is GRPO's else; "runlocal" swaps in
      a small random model and small data.
    values: of the experiment, by dotted name.

  Returns:
    A configuration.
  """
  given = common.parse_arg(arg, method="", runlocal=False)
  c = default.get_config("task=files")
  c.warm_start.steps = 0
  c.optimizer.update(dict(decay=0, b2=0.999, weight_decay=0.1, warmup=10))
  c.model.update(dict(dtype="bfloat16", remat=True))
  c.rollout.old_logp = "score"  # The sampler's differ in bfloat16.
  c.update_from_flattened_dict(values)
  if given["method"]:
    recipe.fill(c, recipe.of(given["method"]), "published")
    c.steps = values["steps"]
    _leave_owned_bounds(c)
    _fit(c, values)
  if given["runlocal"]:
    laptop.shrink(c, small)
  return c


def _leave_owned_bounds(c: ConfigDict) -> None:
  """Clip bounds that a method sets itself are not the experiment's."""
  chain = hyper.chain_of(c.to_dict(), c.chain)
  owned = {field for part in chain.parts for field in part.owns}
  for field in owned & {"clip_low", "clip_high"}:
    c.loss[field] = relations.CLIP


def _fit(c: ConfigDict, values: recipe.Values) -> None:
  """Lengths are those of the experiment's model, whatever a method had.

  Slices divide the rows of a minibatch, as many as the method has.
  """
  for field in ("max_prompt", "max_response"):
    c.rollout[field] = values[f"rollout.{field}"]
  rows = c.rollout.prompts * c.rollout.per_prompt // c.train.updates
  c.train.slices = math.gcd(values["train.slices"], rows // c.mesh.fsdp)
