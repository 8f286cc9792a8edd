"""How a method is configured: the published numbers and those of a laptop."""

import importlib
from typing import NamedTuple

from ml_collections import ConfigDict

from configs import common, default
from rlvr_jax import methods

Values = dict[str, float | int | str | bool | tuple]


class Recipe(NamedTuple):
  """The chain of one method and its fields, by dotted name."""

  name: str
  chain: tuple[str, ...]
  published: Values  # as published, but for the model and the data
  small: Values  # on the quickstart task, where they differ from the defaults


def of(name: str) -> Recipe:
  """The recipe in `configs/methods/<name>.py`.

  Raises:
    ValueError: no method has this name.
  """
  if name not in methods.CATALOGUE:
    methods.make(name)  # raises, with the nearest name
  return importlib.import_module(f"configs.methods.{name}").RECIPE


def quickstart(recipe: Recipe, task: str, steps: int = 200) -> ConfigDict:
  """The method on the quickstart task, for a laptop."""
  c = default.get_config(f"task={task}")
  c.steps = c.optimizer.decay = steps
  fill(c, recipe, "small")
  return c


def shrink(c: ConfigDict) -> None:
  """A few seconds of training, to see that everything runs."""
  c.steps, c.warm_start.steps, c.rollout.prompts = 4, 20, 8
  c.evaluation.every, c.checkpoint.every = 2, 2


def config(recipe: Recipe, arg: str | None) -> ConfigDict:
  """What `get_config(arg)` of a method's file returns.

  Args:
    recipe: of the method.
    arg: "" for the published numbers on the default model, "runlocal" for 100
      steps on the quickstart task, "runlocal,tiny" for 4; "task=sum" changes
      the task.

  Returns:
    A configuration.
  """
  given = common.parse_arg(arg, runlocal=False, tiny=False, task="split")
  if given["runlocal"]:
    c = quickstart(recipe, given["task"], steps=100)
  else:
    c = default.get_config(f"task={given['task']}")
    c.optimizer.decay = 0
    fill(c, recipe, "published")
  if given["tiny"]:
    shrink(c)
  return c


def fill(c: ConfigDict, recipe: Recipe, kind: str) -> None:
  """Puts the chain and the numbers of a recipe into a configuration.

  Args:
    c: the configuration.
    recipe: of a method.
    kind: which numbers, "published" or "small".
  """
  values = getattr(recipe, kind)
  c.chain, c.label = recipe.chain, recipe.name
  c.update_from_flattened_dict(values)
  for name in recipe.chain:
    # A schedule lasts as long as the run, unless it says otherwise.
    if "steps" in c[name] and f"{name}.steps" not in values:
      c[name].steps = c.steps
