import functools
import itertools
import math
import time

import jax
import pytest

import runs
from configs import common, default
from rlvr_jax.training import chains, fields, loop, relations
from rlvr_jax.training import config as config_lib
from runs import message

BAD = {
  "unknown method": (
    dict(chain=("grpo", "clipcov")),
    ["no method named 'clipcov'", "did you mean 'clip_cov'?"],
  ),
  "chain as one string": (
    dict(chain=("grpo,steer",)),
    ["no method is called that", "--config.chain=\"('grpo', 'steer')\""],
  ),
  "two estimators": (
    dict(chain=("grpo", "rloo")),
    ["'grpo' and 'rloo' both set 'advantages'", "drop"],
  ),
  "unknown parameter": (
    dict(chain=("grpo", "clip_cov"), clip_cov=dict(fractoin=0.1)),
    ["'clip_cov' has no parameter 'fractoin'", "did you mean 'fraction'?"],
  ),
  "parameter out of range": (
    dict(chain=("grpo", "clip_cov"), clip_cov=dict(fraction=3.0)),
    ["clip_cov.fraction = 3.0"],
  ),
  "unused hyper-parameters": (
    dict(clip_cov=dict(fraction=0.1)),
    ["'clip_cov' is not in config.chain", "remove the sub-dict"],
  ),
  "group that does not divide": (
    dict(rollout__prompts=3),
    ["config.rollout.prompts = 3 must be a multiple", "whole groups"],
  ),
  "slices that do not divide": (
    dict(rollout__per_prompt=3, train__slices=8),
    ["8 x 3 = 24 rows do not divide", "choose per_prompt"],
  ),
  "steps without learning": (
    dict(steps=300, optimizer__warmup=10),
    ["steps = 300, but the learning rate is 0 after", "= 210", "raise decay"],
  ),
  "pass@k without the samples": (
    dict(evaluation__ks=(1, 64)),
    ["pass@64 needs at least 64 samples"],
  ),
  "heads that do not group": (
    dict(model__heads=3, model__kv_heads=2),
    ["config.model.heads = 3 must be a multiple"],
  ),
  "odd head size": (dict(model__head_dim=7), ["head_dim = 7 must be even"]),
  "wrong type": (dict(steps="ten"), ["config.steps = 'ten' must be a whole"]),
  "number out of range": (
    dict(rollout__top_p=0.0),
    ["config.rollout.top_p = 0.0 must be a number in (0, 1]"],
  ),
  "unknown aggregation": (
    dict(loss__aggregation="token_mean"),
    ["config.loss.aggregation = 'token_mean'", "'seq-mean-token-sum'"],
  ),
  "chain as text": (dict(chain="grpo"), ["config.chain = 'grpo' must be"]),
  "chain of nothing": (dict(chain=()), ["config.chain = () must be a tuple"]),
  "hyper-parameter of another type": (
    dict(chain=("grpo", "clip_cov"), clip_cov=dict(fraction="a")),
    ["config.clip_cov.fraction = 'a' must be a number."],
  ),
  "hyper-parameters that are no dict": (
    dict(steer=3),
    ["config.steer = 3 must be a dict"],
  ),
  "function as a hyper-parameter": (
    dict(chain=("grpo", "clip_cov"), clip_cov=dict(priority=print)),
    ["config.clip_cov.priority = <built-in function print> must be None."],
  ),
  "required parameter left open": (
    dict(chain=("grpo", "aepo")),
    ["'aepo' needs the parameter 'target_entropy'"],
  ),
  "infinite number": (
    dict(optimizer__learning_rate=math.inf),
    ["config.optimizer.learning_rate = inf must be a number in [0, inf)"],
  ),
  "decay that never forgets": (
    dict(optimizer__b1=1.0, optimizer__b2=1.0),
    ["config.optimizer.b1 = 1.0 must be", "config.optimizer.b2 = 1.0 must be"],
  ),
  "negative devices": (
    dict(mesh__data=-5),
    ["config.mesh.data = -5 must be a whole number >= 1, or -1"],
  ),
  "more devices than there are": (
    dict(mesh__data=1000),
    ["config.mesh: mesh data=1000 x fsdp=1 x sequence=1 x tensor=1 must"],
  ),
  "slow copy that is the policy": (
    dict(chain=("grpo", "kl_penalty"), kl_penalty=dict(anchor="ema")),
    ["ema_decay = 0 and config.train.ema_every = 1", "set a decay in (0, 1)"],
  ),
  "bounds that a method overwrites": (
    dict(chain=("grpo", "ppo_clip"), loss__clip_low=0.1, loss__clip_high=0.3),
    [
      "config.loss.clip_low = 0.1 has no effect, because 'ppo_clip' sets",
      "config.loss.clip_high = 0.3 has no effect, because 'ppo_clip' sets",
    ],
  ),
  "scale that nobody reads": (
    dict(loss__scale=5.0),
    ["config.loss.scale = 5.0 has no effect", "'seq-mean-token-sum-norm'"],
  ),
  "subset that is no tuple of rows": (
    dict(task__subset=(3, "a")),
    ["config.task.subset = (3, 'a') must be a tuple, each entry a whole"],
  ),
  "unknown task": (
    dict(task__name="splt"),
    ["config.task.name = 'splt' is no task (did you mean 'split'?)"],
  ),
  "task option out of range": (
    dict(task__options=dict(largest=5)),
    ["config.task.options = {'largest': 5}", "must lie in [14, 999]"],
  ),
  "unknown task option": (
    dict(task__options=dict(largset=50)),
    ["config.task.options.largset = 50 is no option", "takes ['largest']"],
  ),
  "task option of another type": (
    dict(task__options=dict(largest="a")),
    ["config.task.options.largest = 'a' must be a whole number"],
  ),
  "window of one": (
    dict(guard__window=1),
    ["config.guard.window = 1 must be a whole number >= 2."],
  ),
  "no checkpoint kept": (
    dict(checkpoint__keep=0),
    ["config.checkpoint.keep = 0 must be a whole number >= 1."],
  ),
  "type of numbers that is not offered": (
    dict(model__dtype="float16"),
    ["config.model.dtype = 'float16' must be one of ['float32', 'bfloat16']."],
  ),
  "adapters of matrices that are none": (
    dict(model__lora=dict(rank=4, alpha=32.0, targets=("queri",))),
    ["config.model.lora.targets = ('queri',) must be a tuple, each entry one"],
  ),
  "flag as text": (
    dict(progress="yes"),
    ["config.progress = 'yes' must be True or False."],
  ),
  "share above one": (
    dict(warm_start__typos=1.5),
    ["config.warm_start.typos = 1.5 must be a number in [0, 1]."],
  ),
  "old log-probs of nobody": (
    dict(rollout__old_logp="policy"),
    ["config.rollout.old_logp = 'policy' must be one of ['sampler', 'score']."],
  ),
  "folder that is not there": (
    dict(model__folder="nowhere"),
    [
      "config.model.folder = 'nowhere': nowhere/config.json does not exist; "
      "give a folder with config.json"
    ],
  ),
  "options of dynamic sampling that is off": (
    dict(rollout__dynamic=dict(metric="off", factor=2.0, max_batches=10)),
    ["config.rollout.dynamic sets ['factor'], which has no effect"],
  ),
  "batches that cannot fill a step": (
    dict(rollout__dynamic=dict(metric="correct", factor=0.25, max_batches=2)),
    ["config.rollout.dynamic.max_batches = 2 batches of", "hold fewer than"],
  ),
  "groups kept by rewards that nobody knows": (
    dict(
      task__labelled=False,
      rollout__dynamic=dict(metric="reward", factor=1.0, max_batches=10),
    ),
    ["config.rollout.dynamic.metric = 'reward' keeps groups by the rewards"],
  ),
  "digest that is no text": (
    dict(model__sha256=7),
    ["config.model.sha256 = 7 must be a string."],
  ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_told_by_name_value_and_remedy_within_two_seconds(name):
  changes, parts = BAD[name]
  config = _with(changes)
  arrays = len(jax.live_arrays())
  began = time.perf_counter()
  told = message(config)
  assert time.perf_counter() - began < 2
  assert len(jax.live_arrays()) == arrays
  for part in parts:
    assert part in told


def _with(changes):
  config = runs.config()
  for name, value in changes.items():
    section, _, field = name.rpartition("__")
    place = config[section] if section else config
    with place.ignore_type():
      place[field] = value
  return config


# The second needs to know what the first leaves open.
DEPENDENT = [
  ("unused hyper-parameters", "chain as text"),
  ("unused hyper-parameters", "chain of nothing"),
  ("unknown aggregation", "scale that nobody reads"),
  ("unknown task", "task option out of range"),
  ("group that does not divide", "slices that do not divide"),
  ("unknown task", "unknown task option"),
  ("unknown task", "task option of another type"),
]


def _pairs():
  """Mistakes in fields that are not the same, so that both can be made."""
  for pair in itertools.combinations(BAD, 2):
    one, other = (BAD[name][0] for name in pair)
    if not one.keys() & other.keys() and pair not in DEPENDENT:
      yield pair


def _gain(crowd, left, name):
  """The names that meet the most of a crowd for the first time come first."""
  return -sum({name, other} in left for other in crowd), name


def _crowds():
  """Mistakes that can all be made at once; each pair is in one of them."""
  allowed = {frozenset(pair) for pair in _pairs()}
  left = set(allowed)
  while left:
    crowd = sorted(min(left, key=sorted))
    gain = functools.partial(_gain, tuple(crowd), left)
    for name in sorted(BAD.keys() - crowd, key=gain):
      if all({name, other} in allowed for other in crowd):
        crowd.append(name)
    left -= {frozenset(pair) for pair in itertools.combinations(crowd, 2)}
    yield crowd


def test_no_mistake_hides_another():
  for names in _crowds():
    changes = {k: v for name in names for k, v in BAD[name][0].items()}
    told = message(_with(changes))
    for part in (part for name in names for part in BAD[name][1]):
      assert part in told, names


def test_every_wrong_method_of_a_chain_is_told():
  names = ("grpo", "clipcov", "clip_cov", "steer", "rloo")
  wrong = dict(clip_cov=dict(fraction=3.0), steer=dict(mapping=1))
  told = message(runs.config(chain=names, **wrong))
  assert "4 problem(s)" in told
  for part in ("'clipcov'", "clip_cov.fraction", "steer.mapping", "'rloo'"):
    assert part in told


def test_a_misspelt_field_hides_neither_methods_nor_sizes():
  config = runs.config(chain=("clipcov",), model__heads=3, model__kv_heads=2)
  config.rollout.promts = 3
  told = message(config)
  assert "3 problem(s)" in told
  for part in ("config.rollout.promts", "'clipcov'", "config.model.heads"):
    assert part in told


@pytest.mark.parametrize("name", fields.RULES)
def test_a_number_is_a_number_within_the_interval_it_is_told_to_be_in(name):
  rule = fields.RULES[name]
  if not rule.allowed.startswith("a number in "):
    return
  interval = rule.allowed.removeprefix("a number in ")
  low, high = map(float, interval[1:-1].split(","))
  assert rule.test(low) == (interval[0] == "[")
  assert rule.test(high) == (interval[-1] == "]")
  assert rule.test(0.5 if high == 1 else low + 1)
  for x in (low - 1, high + 1 if high < math.inf else -math.inf, math.nan):
    assert not rule.test(x)
  assert not rule.test(True) and not rule.test("1")


def test_the_bounds_that_a_method_overwrites_are_known_by_their_defaults():
  loss = default.get_config().loss
  assert loss.clip_low == loss.clip_high == chains.CLIP


def test_options_that_are_off_are_known_by_their_defaults():
  dynamic = default.get_config().rollout.dynamic
  assert dynamic.to_dict() == relations.DYNAMIC


@pytest.mark.parametrize("how", [dict(ema_decay=0.9), dict(ema_every=50)])
def test_a_slow_copy_lags_by_its_decay_or_by_the_updates_between_copies(how):
  config = runs.config(chain=("grpo", "kl_penalty"))
  config.kl_penalty.anchor = "ema"
  config.train.update(how)
  config_lib.check(config)


def test_all_problems_are_told_at_once():
  told = message(_with(dict(steps=0, seed=-1, model__layers=0)))
  assert "3 problem(s)" in told
  for name in ("config.steps", "config.seed", "config.model.layers"):
    assert name in told


def test_a_misspelt_field_names_the_nearest_one():
  config = runs.config()
  config.rollout.promts = 3
  told = message(config)
  assert "config.rollout.promts = 3 is not a field" in told
  assert "did you mean config.rollout.prompts?" in told


def test_a_missing_field_is_told():
  config = runs.config()
  del config.train.slices
  assert "config.train.slices is missing" in message(config)


def test_config_arguments_are_read_and_checked():
  read = lambda arg: common.parse_arg(arg, method="grpo", runlocal=False, n=1)
  assert read("") == read(None) == dict(method="grpo", runlocal=False, n=1)
  assert read("runlocal,n=3,method=steer")["n"] == 3
  assert read("runlocal")["runlocal"] is True
  with pytest.raises(ValueError, match="'metod' is not known"):
    read("metod=steer")
  with pytest.raises(ValueError, match="n = 'x' must be a int"):
    read("n=x")


@pytest.mark.parametrize(
  ("flag", "told"),
  [
    (
      "--config=configs/quickstart.py:method=clipcov",
      "did you mean 'clip_cov'",
    ),
    pytest.param(
      "--config.rollout.promts=3",
      'Did you mean "prompts"',
      marks=pytest.mark.long,
    ),
    ("--config.chain=grpo,steer", "no method is called that"),
    pytest.param("--config.steps=many", "steps", marks=pytest.mark.long),
    pytest.param("--workdr=x", "workdr", marks=pytest.mark.long),
    pytest.param(
      "--config.foo.bar=1", "no field 'foo'", marks=pytest.mark.long
    ),
    pytest.param(
      "--config=configs/nothing.py",
      "configs/nothing.py",
      marks=pytest.mark.long,
    ),
    ("--config.task.name=splt", "did you mean 'split'"),
    pytest.param(
      "forgotten", "unexpected arguments ['forgotten']", marks=pytest.mark.long
    ),
  ],
)
def test_the_command_line_ends_with_one_message_and_no_traceback(
  flag, told, tmp_path
):
  folder = tmp_path / "run"
  process = runs.spawn(
    "--config=configs/quickstart.py", f"--workdir={folder}", flag
  )
  out, _ = process.communicate(timeout=120)
  assert process.returncode == 2
  assert told in out and "Traceback" not in out
  assert not folder.exists()


def test_a_task_that_only_building_can_refuse_is_a_wrong_config(tmp_path):
  pytest.importorskip("reasoning_gym")
  config = runs.config(task__name="gym:chain_sun")
  with config.task.ignore_type():
    config.task.options = dict()
  with pytest.raises(config_lib.ConfigError, match="no dataset 'chain_sun'"):
    loop.train(config, tmp_path / "run")
  assert not (tmp_path / "run").exists()
