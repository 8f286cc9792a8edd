"""Checks a whole configuration before anything is allocated.

`check` collects every problem it can find and raises them together; each line
names the field, its value, what is allowed and what to do.
"""

import contextlib
import difflib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, get_args

import jax
from ml_collections import ConfigDict

from rlvr_jax import methods
from rlvr_jax.models.config import MATRICES
from rlvr_jax.objective import Aggregation
from rlvr_jax.training import hyper, relations
from rlvr_jax.transform import LossTransform

# A run may be resumed with these changed.
FREE = ("steps", "checkpoint", "progress", "warm_start.folder", "label")


class ConfigError(ValueError):
  """A configuration that cannot be run; the message says how to mend it."""


class Rule(NamedTuple):
  """What a field may hold."""

  test: Callable[[object], bool]
  allowed: str


def _number(interval: str) -> Rule:
  """A number in an interval such as "[0, 1)"."""
  low, high = map(float, interval[1:-1].split(","))

  def test(x):
    if isinstance(x, bool) or not isinstance(x, (int, float)):
      return False
    above = x > low or (x == low and interval[0] == "[")
    return above and (x < high or (x == high and interval[-1] == "]"))

  return Rule(test, f"a number in {interval}")


def _whole(low: int) -> Rule:
  fits = lambda x: isinstance(x, int) and not isinstance(x, bool) and x >= low
  return Rule(fits, f"a whole number >= {low}")


def _one_of(*values: object) -> Rule:
  return Rule(lambda x: x in values, f"one of {list(values)}")


def _tuple_of(rule: Rule, least: int = 1) -> Rule:
  fits = lambda x: (
    isinstance(x, tuple) and len(x) >= least and all(map(rule.test, x))
  )
  return Rule(fits, f"a tuple, each entry {rule.allowed}")


_TEXT = Rule(lambda x: isinstance(x, str), "a string")
_FLAG = Rule(lambda x: isinstance(x, bool), "True or False")
_DICT = Rule(lambda x: isinstance(x, dict), "a dict")

RULES: dict[str, Rule] = {
  "label": _TEXT,
  "seed": _whole(0),
  "steps": _whole(1),
  "chain": _tuple_of(_TEXT),
  "progress": _FLAG,
  "task.name": _TEXT,
  "task.data_dir": _TEXT,
  "task.subset": _tuple_of(_whole(0), least=0),
  "task.options": _DICT,
  "model.folder": _TEXT,
  "model.width": _whole(1),
  "model.layers": _whole(1),
  "model.heads": _whole(1),
  "model.kv_heads": _whole(1),
  "model.head_dim": _whole(2),
  "model.hidden": _whole(1),
  "model.rope_theta": _number("[1, inf)"),
  "model.norm_epsilon": _number("(0, inf)"),
  "model.qk_norm": _FLAG,
  "model.tied": _FLAG,
  "model.dtype": _one_of("float32", "bfloat16"),
  "model.param_dtype": _one_of("float32", "bfloat16"),
  "model.remat": _FLAG,
  "model.lora.rank": _whole(0),
  "model.lora.alpha": _number("(0, inf)"),
  "model.lora.targets": _tuple_of(_one_of(*MATRICES)),
  "warm_start.steps": _whole(0),
  "warm_start.batch": _whole(1),
  "warm_start.learning_rate": _number("(0, inf)"),
  "warm_start.weight_decay": _number("[0, inf)"),
  "warm_start.typos": _number("[0, 1]"),
  "warm_start.folder": _TEXT,
  "rollout.prompts": _whole(1),
  "rollout.per_prompt": _whole(1),
  "rollout.rows": _whole(0),
  "rollout.temperature": _number("(0, inf)"),
  "rollout.score_temperature": _number("(0, inf)"),
  "rollout.top_k": _whole(0),
  "rollout.top_p": _number("(0, 1]"),
  "rollout.min_p": _number("[0, 1]"),
  "rollout.max_prompt": _whole(0),
  "rollout.max_response": _whole(0),
  "rollout.old_logp": _one_of("sampler", "score"),
  "loss.clip_low": _number("[0, 1]"),
  "loss.clip_high": _number("[0, inf]"),
  "loss.aggregation": _one_of(*get_args(Aggregation)),
  "loss.scale": _number("[0, inf)"),
  "train.updates": _whole(1),
  "train.slices": _whole(1),
  "train.chunk": _whole(1),
  "train.ema_decay": _number("[0, 1)"),
  "optimizer.learning_rate": _number("[0, inf)"),
  "optimizer.warmup": _whole(0),
  "optimizer.decay": _whole(0),
  "optimizer.b1": _number("[0, 1)"),
  "optimizer.b2": _number("[0, 1)"),
  "optimizer.epsilon": _number("(0, inf)"),
  "optimizer.weight_decay": _number("[0, inf)"),
  "optimizer.max_gradient_norm": _number("(0, inf]"),
  "guard.window": _whole(2),
  "guard.sigmas": _number("(0, inf)"),
  "guard.max_consecutive": _whole(1),
  "evaluation.every": _whole(1),
  "evaluation.samples": _whole(1),
  "evaluation.ks": _tuple_of(_whole(1)),
  "evaluation.temperature": _number("[0, inf)"),
  "evaluation.top_p": _number("(0, 1]"),
  "evaluation.rows": _whole(0),
  "checkpoint.every": _whole(1),
  "checkpoint.keep": _whole(1),
  "mesh.data": Rule(
    lambda x: _whole(-1).test(x) and x != 0,
    "a whole number >= 1, or -1 for all that is left",
  ),
  "mesh.fsdp": _whole(1),
  "mesh.tensor": _whole(1),
}


def flatten(config: dict, prefix: str = "") -> dict[str, object]:
  """Nested dicts to one dict with dotted names; `task.options` stays whole."""
  flat = {}
  for name, value in config.items():
    path = prefix + name
    if isinstance(value, dict) and path != "task.options":
      flat |= flatten(value, path + ".")
    else:
      flat[path] = value
  return flat


def differences(old: dict, new: dict) -> list[str]:
  """Dotted names whose values differ between two plain configurations."""
  a, b = flatten(old), flatten(new)
  return sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))


def plain(config: ConfigDict) -> dict:
  """The configuration as it looks after a trip through JSON.

  Of the sub-dicts of methods it holds those of the chain, complete.
  """
  return json.loads(json.dumps(hyper.complete(config.to_dict())))


def write(path: pathlib.Path, values: dict) -> None:
  """Writes JSON so that a kill leaves the old file whole, or the new one."""
  text = json.dumps(values, indent=2)
  if jax.process_index() or (path.exists() and path.read_text() == text):
    return
  partial = path.with_suffix(".partial")
  partial.write_text(text)
  partial.replace(path)


def read(path: pathlib.Path) -> dict:
  """What `write` wrote.

  Raises:
    ConfigError: the file is damaged.
  """
  try:
    return json.loads(path.read_text())
  except json.JSONDecodeError as error:
    raise ConfigError(
      f"{path} is not JSON ({error}), so nobody knows what made the files "
      "beside it; restore it, or use another folder."
    ) from error


def build_chain(config: ConfigDict) -> LossTransform:
  """The chain of `config.chain` with the hyper-parameters of its sub-dicts."""
  return hyper.chain_of(config.to_dict(), config.chain)


def check(config: ConfigDict, workdir: str | os.PathLike | None = None) -> None:
  """Raises everything that is wrong with a configuration at once.

  Args:
    config: as `get_config` returned it.
    workdir: if it holds a run, that run must have the same configuration.

  Raises:
    ConfigError: one line per problem.
  """
  refuse(problems(config, workdir))


def refuse(found: Sequence[str]) -> None:
  """Raises a ConfigError if there are problems."""
  if found:
    raise ConfigError(
      f"the configuration has {len(found)} problem(s):\n"
      + "\n".join(f"  - {p}" for p in found)
    )


def problems(
  config: ConfigDict, workdir: str | os.PathLike | None = None
) -> list[str]:
  """One line per problem that `check` would raise."""
  values, old = config.to_dict(), _run_in(workdir)
  wrong = dict(_fields(values))
  found = list(wrong.values())
  found += relations.problems(values, flatten(values), wrong)
  if not wrong.keys() & {"steps", "optimizer.warmup", "optimizer.decay"}:
    found += _length(flatten(values), old, workdir)
  if old and not found:
    found += _changes(old, plain(config), workdir)
  return found


@contextlib.contextmanager
def building() -> Iterator[None]:
  """Makes what only building can tell a ConfigError: it is a wrong value too.

  Only `build` belongs inside; it puts values together and computes nothing.
  """
  try:
    yield
  except ConfigError:
    raise
  # Generators of reasoning-gym check their options by assert.
  except (ImportError, TypeError, ValueError, AssertionError) as error:
    told = str(error) or repr(error)
    raise ConfigError(f"the configuration cannot be built: {told}") from error


def _fields(config: dict) -> Iterator[tuple[str, str]]:
  """Names of wrong fields and what is wrong with each by itself."""
  known = methods.CATALOGUE
  flat = flatten({k: v for k, v in config.items() if k not in known})
  for name in sorted(RULES.keys() - flat.keys()):
    yield name, f"config.{name} is missing; allowed: {RULES[name].allowed}."
  for name, value in flat.items():
    if name not in RULES:
      near = difflib.get_close_matches(name, [*RULES, *known], n=1)
      hint = f" (did you mean config.{near[0]}?)" if near else ""
      text = f"config.{name} = {value!r} is not a field{hint}; remove it."
      yield name, text
    elif not RULES[name].test(value):
      text = f"config.{name} = {value!r} must be {RULES[name].allowed}."
      yield name, text
  for name in known:
    if not _DICT.test(config.get(name, {})):
      text = f"config.{name} = {config[name]!r} must be {_DICT.allowed}."
      yield name, text


def _run_in(workdir: str | os.PathLike | None) -> dict | None:
  """The configuration of the run that a folder holds; None if none."""
  written = None if workdir is None else pathlib.Path(workdir) / "config.json"
  if written is None or not written.exists():
    return None
  return hyper.complete(read(written))


def _end(flat: dict) -> float:
  """The step after which the learning rate is 0."""
  decay = flat.get("optimizer.decay", 0)
  return flat.get("optimizer.warmup", 0) + decay if decay else math.inf


def _length(
  flat: dict, old: dict | None, workdir: str | os.PathLike | None
) -> Iterator[str]:
  steps, end = flat["steps"], _end(flat)
  held = _end(flatten(old)) if old else math.inf
  if steps > held:
    yield (
      f"config.steps = {steps}, but the run in {workdir} ends at step {held}, "
      "where config.optimizer.warmup + decay bring its learning rate to 0, and "
      "another decay would change the steps it has made; train a longer run in "
      "another --workdir, with a longer decay."
    )
  elif steps > end:
    yield (
      f"config.steps = {steps}, but the learning rate is 0 after "
      f"config.optimizer.warmup + decay = {end} steps; raise decay to the "
      "number of steps, or set it to 0 for a constant rate."
    )


def _changes(old: dict, new: dict, workdir: str | os.PathLike) -> Iterator[str]:
  """What keeps a run from going on with another configuration."""
  free = lambda name: any(name == f or name.startswith(f + ".") for f in FREE)
  a, b = flatten(old), flatten(new)
  for name in differences(old, new):
    if not free(name):
      yield (
        f"{workdir} holds a run with config.{name} = {a.get(name)!r}, this one "
        f"has {b.get(name)!r}; use another --workdir, or the old value to go "
        "on with that run."
      )
