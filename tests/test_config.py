import json
import time

import pytest

import runs
from configs import common, quickstart
from rlvr_jax import methods
from rlvr_jax.training import config as config_lib


def message(config, workdir=None):
  with pytest.raises(ValueError) as caught:
    config_lib.check(config, workdir)
  return str(caught.value)


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
    dict(rollout__per_prompt=3, rollout__prompts=3),
    ["3 x 3 = 9 rows do not divide", "choose per_prompt"],
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
    ["config.rollout.top_p = 0.0 must be a number in (0.0, 1.0]"],
  ),
  "unknown aggregation": (
    dict(loss__aggregation="token_mean"),
    ["config.loss.aggregation = 'token_mean'", "'seq-mean-token-sum'"],
  ),
  "chain as text": (dict(chain="grpo"), ["config.chain = 'grpo' must be"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_told_by_name_value_and_remedy_within_two_seconds(name):
  changes, parts = BAD[name]
  config = _with(changes)
  began = time.perf_counter()
  told = message(config)
  assert time.perf_counter() - began < 2
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


def test_a_workdir_of_another_config_is_refused_and_a_longer_run_is_not(
  tmp_path,
):
  written = config_lib.plain(runs.config())
  (tmp_path / "config.json").write_text(json.dumps(written))
  config_lib.check(runs.config(), tmp_path)
  config_lib.check(runs.config(steps=9), tmp_path)
  told = message(runs.config(rollout__temperature=0.5), tmp_path)
  assert "config.rollout.temperature = 1.0, this one has 0.5" in told
  assert "another --workdir" in told


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_the_quickstart_config_is_right_for_every_method(name):
  for arg in (f"method={name}", f"runlocal,method={name}"):
    config_lib.check(quickstart.get_config(arg))


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
    ("--config.rollout.promts=3", 'Did you mean "prompts"'),
    ("--config.chain=grpo,steer", "no method is called that"),
    ("--config.steps=many", "steps"),
    ("--workdr=x", "workdr"),
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
