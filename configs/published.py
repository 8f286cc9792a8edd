"""What the configurations of real experiments share."""

import math

from ml_collections import ConfigDict

from configs import common, default, laptop, recipe
from rlvr_jax import transform
from rlvr_jax.training import chains, hyper
from rlvr_jax.types import Draw

# A model reads no more than these, whatever a method was published with.
LENGTHS = ("rollout.max_prompt", "rollout.max_response", "train.slices")
BOXED = (
  "Please reason step by step, and put your final answer within \\boxed{}."
)


# Devices of the hardware that the configurations name.
DEVICES = 8

# DAPO, arXiv 2503.14476: training on DAPO-Math-17k, measured by avg@32.
DAPO = {
  "task.options.max_prompt": 1024,
  "steps": 300,
  "rollout.prompts": 512,
  "rollout.per_prompt": 16,
  "rollout.max_prompt": 1024,
  "train.updates": 16,
  "loss.clip_high": 0.28,
  "optimizer.learning_rate": 1e-6,
  "optimizer.warmup": 20,
  "evaluation.every": 10,
  "evaluation.samples": 32,
  "evaluation.ks": (1, 8, 32),
  "evaluation.top_p": 0.7,
  "mesh.fsdp": 8,
}
# Its dynamic sampling, as in the authors' script: three times the prompts of a
# step at a time.
DYNAMIC = {"rollout.dynamic.metric": "correct", "rollout.dynamic.factor": 3.0}


def experiment(
  small: str, arg: str | None, values: recipe.Values
) -> ConfigDict:
  """What `get_config(arg)` of an experiment returns.

  Args:
    small: name of a small model of the same family.
    arg: "method=NAME" puts the numbers that the method was published with on
      top of those of the experiment, which is GRPO's else; "dynamic" draws
      prompts until enough groups have mixed rewards; "runlocal" swaps in a
      small random model and small data.
    values: of the experiment, by dotted name.

  Returns:
    A configuration.
  """
  known = dict(method="", dynamic=False, runlocal=False)
  given = common.parse_arg(arg, **known)
  c = default.get_config("task=files")
  c.warm_start.steps = 0
  c.optimizer.update(dict(decay=0, b2=0.999, weight_decay=0.1))
  c.model.update(dict(dtype="bfloat16", remat="full"))
  c.rollout.old_logp = "score"  # The sampler's differ in bfloat16.
  c.update_from_flattened_dict(values)
  if given["method"]:
    recipe.fill(c, recipe.of(given["method"]), "published")
    c.steps = values["steps"]
    _leave_owned_bounds(c)
    c.update_from_flattened_dict({k: values[k] for k in LENGTHS})
  if given["dynamic"]:
    c.update_from_flattened_dict(DYNAMIC)
  if given["runlocal"]:
    laptop.shrink(c, small)
  if given["method"]:
    _fit(c)
  return c


def _leave_owned_bounds(c: ConfigDict) -> None:
  """Clip bounds that a method sets itself are not the experiment's."""
  chain = hyper.chain_of(c.to_dict(), c.chain)
  owned = {field for part in chain.parts for field in part.owns}
  for field in owned & {"clip_low", "clip_high"}:
    c.loss[field] = chains.CLIP


def _fit(c: ConfigDict) -> None:
  """Numbers that a method had for other lengths and rows, for those at hand.

  The slope of the overlong punishment keeps its share of a response, a reward
  of the length has the limit of the responses, a constant denominator counts
  the tokens of an update at most, and the devices divide the rows of an update,
  as slices do, which divide those without branches, too.
  """
  response, overlong = c.rollout.max_response, c.overlong_shaping
  if overlong.max_length:
    share = overlong.buffer / overlong.max_length
    overlong.update(max_length=0, buffer=math.ceil(share * response))
  c.length_reward.max_length = 0
  rows = _rows(c)
  c.train.updates = math.gcd(c.train.updates, rows // DEVICES)
  rows //= c.train.updates
  if c.loss.scale:
    c.loss.scale = float(rows * response)
  of_prompts = c.rollout.prompts * c.rollout.per_prompt // c.train.updates
  c.train.slices = math.gcd(c.train.slices, rows // DEVICES, of_prompts)


def _rows(c: ConfigDict) -> int:
  """Of a step, with branches and those that are replayed."""
  draws = (Draw("main", c.rollout.per_prompt),)
  for part in hyper.chain_of(c.to_dict(), c.chain).parts:
    if part.init is transform.no_state:  # Nothing that has one branches.
      draws = part.plan(draws, ())
  own = sum(d.per_prompt for d in draws if d.parent or d.name == "main")
  rows = c.rollout.prompts * own
  if "spear" in c.chain:
    rows += rows if c.spear.rows is None else c.spear.rows
  return rows
