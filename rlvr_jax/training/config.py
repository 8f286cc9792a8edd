"""Checks a whole configuration before anything is allocated.

`check` collects every problem it can find and raises them together; each line
names the field, its value, what is allowed and what to do.
"""

import difflib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, get_args

from ml_collections import ConfigDict

from rlvr_jax import methods
from rlvr_jax.objective import Aggregation
from rlvr_jax.transform import LossTransform, chain

# A run may be resumed with these changed.
FREE = ("steps", "checkpoint", "progress", "warm_start.folder", "label")


class ConfigError(ValueError):
  """A configuration that cannot be run; the message says how to mend it."""


class Rule(NamedTuple):
  """What a field may hold."""

  test: Callable[[object], bool]
  allowed: str


def _number(low: float, high: float = math.inf, open_low: bool = False) -> Rule:
  bracket = "(" if open_low else "["
  top = "inf)" if high == math.inf else f"{high}]"

  def test(x):
    if isinstance(x, bool) or not isinstance(x, (int, float)):
      return False
    return (low < x if open_low else low <= x) and x <= high

  return Rule(test, f"a number in {bracket}{low}, {top}")


def _whole(low: int) -> Rule:
  fits = lambda x: isinstance(x, int) and not isinstance(x, bool) and x >= low
  return Rule(fits, f"a whole number >= {low}")


def _one_of(*values: object) -> Rule:
  return Rule(lambda x: x in values, f"one of {list(values)}")


def _tuple_of(kind: type, low: int = 1) -> Rule:
  fits = lambda x: (
    isinstance(x, tuple)
    and all(isinstance(y, kind) and (kind is str or y >= low) for y in x)
  )
  return Rule(lambda x: fits(x) and len(x) > 0, f"a tuple of {kind.__name__}")


_TEXT = Rule(lambda x: isinstance(x, str), "a string")
_FLAG = Rule(lambda x: isinstance(x, bool), "True or False")
_ANY = Rule(lambda x: True, "")

RULES: dict[str, Rule] = {
  "label": _TEXT,
  "seed": _whole(0),
  "steps": _whole(1),
  "chain": _tuple_of(str),
  "progress": _FLAG,
  "task.name": _TEXT,
  "task.data_dir": _TEXT,
  "task.options": _ANY,
  "model.width": _whole(1),
  "model.layers": _whole(1),
  "model.heads": _whole(1),
  "model.kv_heads": _whole(1),
  "model.head_dim": _whole(2),
  "model.hidden": _whole(1),
  "model.rope_theta": _number(1.0),
  "model.norm_epsilon": _number(0.0, open_low=True),
  "model.qk_norm": _FLAG,
  "model.tied": _FLAG,
  "model.dtype": _one_of("float32", "bfloat16"),
  "model.remat": _FLAG,
  "warm_start.steps": _whole(0),
  "warm_start.batch": _whole(1),
  "warm_start.learning_rate": _number(0.0, open_low=True),
  "warm_start.weight_decay": _number(0.0),
  "warm_start.typos": _number(0.0, 1.0),
  "warm_start.folder": _TEXT,
  "rollout.prompts": _whole(1),
  "rollout.per_prompt": _whole(1),
  "rollout.temperature": _number(0.0, open_low=True),
  "rollout.score_temperature": _number(0.0, open_low=True),
  "rollout.top_k": _whole(0),
  "rollout.top_p": _number(0.0, 1.0, open_low=True),
  "rollout.min_p": _number(0.0, 1.0),
  "rollout.max_prompt": _whole(0),
  "rollout.max_response": _whole(0),
  "rollout.old_logp": _one_of("sampler", "score"),
  "loss.clip_low": _number(0.0, 1.0),
  "loss.clip_high": _number(0.0),
  "loss.aggregation": _one_of(*get_args(Aggregation)),
  "loss.scale": _number(0.0),
  "train.updates": _whole(1),
  "train.slices": _whole(1),
  "train.chunk": _whole(1),
  "train.ema_decay": _number(0.0, 1.0),
  "optimizer.learning_rate": _number(0.0),
  "optimizer.warmup": _whole(0),
  "optimizer.decay": _whole(0),
  "optimizer.b1": _number(0.0, 1.0),
  "optimizer.b2": _number(0.0, 1.0),
  "optimizer.epsilon": _number(0.0, open_low=True),
  "optimizer.weight_decay": _number(0.0),
  "optimizer.max_gradient_norm": _number(0.0, open_low=True),
  "guard.window": _whole(2),
  "guard.sigmas": _number(0.0, open_low=True),
  "guard.max_consecutive": _whole(1),
  "evaluation.every": _whole(1),
  "evaluation.samples": _whole(1),
  "evaluation.ks": _tuple_of(int),
  "evaluation.temperature": _number(0.0),
  "checkpoint.every": _whole(1),
  "checkpoint.keep": _whole(1),
  "mesh.data": Rule(lambda x: isinstance(x, int) and x != 0, "-1 or >= 1"),
  "mesh.fsdp": _whole(1),
  "mesh.tensor": _whole(1),
}
SECTIONS = {name.split(".")[0] for name in RULES if "." in name}


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
  """The configuration as it looks after a trip through JSON."""
  return json.loads(json.dumps(config.to_dict()))


def build_chain(config: ConfigDict) -> LossTransform:
  """The chain of `config.chain` with the hyper-parameters of its sub-dicts."""
  make = lambda name: methods.make(name, **config.get(name, {}))
  return chain(*(make(name) for name in config.chain))


def check(config: ConfigDict, workdir: str | os.PathLike | None = None) -> None:
  """Raises everything that is wrong with a configuration at once.

  Args:
    config: as `get_config` returned it.
    workdir: if it holds a run, that run must have the same configuration.

  Raises:
    ConfigError: one line per problem.
  """
  problems = list(_fields(config.to_dict()))
  if not problems:
    problems = [*_methods(config), *_sizes(config)]
  if not problems and workdir is not None:
    problems = list(_workdir(config, workdir))
  if problems:
    raise ConfigError(
      f"the configuration has {len(problems)} problem(s):\n"
      + "\n".join(f"  - {p}" for p in problems)
    )


def _fields(config: dict) -> Iterator[str]:
  known = set(methods.CATALOGUE)
  ours = {k: v for k, v in config.items() if k not in known}
  flat = flatten(ours)
  for name in RULES.keys() - flat.keys():
    yield f"config.{name} is missing; allowed: {RULES[name].allowed}."
  for name, value in flat.items():
    if name not in RULES:
      near = difflib.get_close_matches(name, [*RULES, *known], n=1)
      hint = f" (did you mean config.{near[0]}?)" if near else ""
      yield f"config.{name} = {value!r} is not a field{hint}; remove it."
    elif not RULES[name].test(value):
      yield f"config.{name} = {value!r} must be {RULES[name].allowed}."


def _methods(config: ConfigDict) -> Iterator[str]:
  names = config.chain
  for name in names:
    if "," in name:
      parts = [p.strip() for p in name.split(",")]
      yield (
        f"config.chain holds the one name {name!r}, no method is called that; "
        f'write --config.chain="({", ".join(map(repr, parts))})".'
      )
  unused = [m for m in methods.CATALOGUE if m in config and m not in names]
  for name in unused:
    yield (
      f"config.{name} is set but {name!r} is not in config.chain = {names}; "
      "add it to the chain or remove the sub-dict."
    )
  if any("," in name for name in names):
    return
  for name in names:
    try:
      methods.make(name, **config.get(name, {}))
    except (ValueError, TypeError) as error:
      yield f"config.chain: {error}"
      return
  try:
    transform = build_chain(config)
  except ValueError as error:
    yield f"config.chain: {error}"
    return
  needs_ema = any("ema" in need.params for need in transform.needs)
  if needs_ema and not config.train.ema_decay:
    yield (
      "config.train.ema_decay = 0, but the chain needs the slow copy 'ema'; "
      "set a decay in (0, 1)."
    )


def _sizes(config: ConfigDict) -> Iterator[str]:
  model, rollout, train = config.model, config.rollout, config.train
  if model.heads % model.kv_heads:
    yield (
      f"config.model.heads = {model.heads} must be a multiple of "
      f"config.model.kv_heads = {model.kv_heads}."
    )
  if model.head_dim % 2:
    yield f"config.model.head_dim = {model.head_dim} must be even."
  rows = rollout.prompts * rollout.per_prompt
  parts = train.updates * train.slices
  if rows % parts:
    yield (
      f"config.rollout.prompts x per_prompt = {rollout.prompts} x "
      f"{rollout.per_prompt} = {rows} rows do not divide into "
      f"config.train.updates x slices = {train.updates} x {train.slices}; "
      f"choose per_prompt so that {parts} divides the rows, or fewer parts."
    )
  o = config.optimizer
  if o.decay and config.steps > o.warmup + o.decay:
    yield (
      f"config.steps = {config.steps}, but the learning rate is 0 after "
      f"config.optimizer.warmup + decay = {o.warmup + o.decay} steps; raise "
      "decay to the number of steps, or set it to 0 for a constant rate."
    )
  over = [k for k in config.evaluation.ks if k > config.evaluation.samples]
  if over:
    yield (
      f"config.evaluation.ks = {config.evaluation.ks}: pass@{over[0]} needs at "
      f"least {over[0]} samples, config.evaluation.samples = "
      f"{config.evaluation.samples}; raise it."
    )


def _workdir(config: ConfigDict, workdir: str | os.PathLike) -> Iterator[str]:
  written = pathlib.Path(workdir) / "config.json"
  if not written.exists():
    return
  old, new = json.loads(written.read_text()), plain(config)
  free = lambda name: any(name == f or name.startswith(f + ".") for f in FREE)
  differ = [name for name in differences(old, new) if not free(name)]
  flat_old, flat_new = flatten(old), flatten(new)
  for name in differ:
    yield (
      f"{workdir} holds a run with config.{name} = {flat_old.get(name)!r}, "
      f"this one has {flat_new.get(name)!r}; use another --workdir, or the "
      "old value to go on with that run."
    )
