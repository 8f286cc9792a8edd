"""The fields of a configuration, and what each may hold by itself."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, get_args

from rlvr_jax import methods
from rlvr_jax.models.config import MATRICES, Remat
from rlvr_jax.objective import Aggregation


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
  "async_rollout": _FLAG,
  "task.name": _TEXT,
  "task.data_dir": _TEXT,
  "task.subset": _tuple_of(_whole(0), least=0),
  "task.labelled": _FLAG,
  "task.options": _DICT,
  "model.folder": _TEXT,
  "model.sha256": _TEXT,
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
  "model.remat": _one_of(*get_args(Remat)),
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
  "rollout.mismatch_every": _whole(0),
  "rollout.max_bad_fraction": _number("[0, 1]"),
  "rollout.dynamic.metric": _one_of("off", "correct", "reward"),
  "rollout.dynamic.factor": _number("(0, inf)"),
  "rollout.dynamic.max_batches": _whole(0),
  "loss.clip_low": _number("[0, 1]"),
  "loss.clip_high": _number("[0, inf]"),
  "loss.aggregation": _one_of(*get_args(Aggregation)),
  "loss.scale": _number("[0, inf)"),
  "train.updates": _whole(1),
  "train.slices": _whole(1),
  "train.widths": _whole(1),
  "train.share_prompts": _FLAG,
  "train.chunk": _whole(1),
  "train.ema_decay": _number("[0, 1)"),
  "train.ema_every": _whole(1),
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
  "checkpoint.new_chain": _FLAG,
  "mesh.data": Rule(
    lambda x: _whole(-1).test(x) and x != 0,
    "a whole number >= 1, or -1 for all that is left",
  ),
  "mesh.fsdp": _whole(1),
  "mesh.sequence": _whole(1),
  "mesh.tensor": _whole(1),
}
# What only supervised training has, and the sections it shares.
_DATA: dict[str, Rule] = {
  "data.train": _tuple_of(_TEXT),
  "data.evaluation": _tuple_of(_TEXT, least=0),
  "data.columns": _DICT,
  "data.answers": _TEXT,
  "data.system": _TEXT,
  "data.instruction": _TEXT,
  "data.thinking": _one_of(None, True, False),
  "data.template": _TEXT,
  "data.length": _whole(2),
  "data.pack": _FLAG,
  "data.ngram": _whole(0),
  "data.data_dir": _TEXT,
  "train.rows": _whole(1),
}
_SHARED = (
  *("label", "seed", "steps", "chain", "progress", "model", "train"),
  *("optimizer", "guard", "checkpoint", "mesh"),
  *("loss.aggregation", "loss.scale", "evaluation.every"),
)
SUPERVISED = _DATA | {
  name: rule
  for name, rule in RULES.items()
  if name in _SHARED or name.partition(".")[0] in _SHARED
}
del SUPERVISED["train.widths"]  # Packed rows are full.
del SUPERVISED["train.share_prompts"]  # They have none.
_WHOLE = ("task.options", "data.columns")


def is_supervised(config: Mapping[str, object]) -> bool:
  """Whether a configuration is one of `experiments.sft`."""
  return "data" in config


def flatten(config: dict, prefix: str = "") -> dict[str, object]:
  """Nested dicts to one with dotted names; options and columns stay whole."""
  flat = {}
  for name, value in config.items():
    path = prefix + name
    if isinstance(value, dict) and path not in _WHOLE:
      flat |= flatten(value, path + ".")
    else:
      flat[path] = value
  return flat


def misfits(config: dict) -> Iterator[tuple[str, str]]:
  """Names of wrong fields and what is wrong with each by itself.

  Args:
    config: as a plain dict.
  """
  known = methods.CATALOGUE
  rules = SUPERVISED if is_supervised(config) else RULES
  flat = flatten({k: v for k, v in config.items() if k not in known})
  for name in sorted(rules.keys() - flat.keys()):
    yield name, f"config.{name} is missing; allowed: {rules[name].allowed}."
  for name, value in flat.items():
    if name not in rules:
      near = difflib.get_close_matches(name, [*rules, *known], n=1)
      hint = f" (did you mean config.{near[0]}?)" if near else ""
      text = f"config.{name} = {value!r} is not a field{hint}; remove it."
      yield name, text
    elif not rules[name].test(value):
      text = f"config.{name} = {value!r} must be {rules[name].allowed}."
      yield name, text
  for name in known:
    if not _DICT.test(config.get(name, {})):
      text = f"config.{name} = {config[name]!r} must be {_DICT.allowed}."
      yield name, text
