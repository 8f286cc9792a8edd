"""Hyper-parameters of methods in configurations and on the command line."""

import json
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from configs import default, quickstart
from rlvr_jax import methods
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import hyper
from runs import message


def read_flags(monkeypatch, *given, file="configs/quickstart.py"):
  """The configuration that a command line makes."""
  argv = ["program", f"--config={file}", *given]
  monkeypatch.setattr(sys, "argv", argv)  # config_flags reads it
  values = flags.FlagValues()
  found = config_flags.DEFINE_config_file(
    "config", lock_config=True, flag_values=values
  )
  values(argv)
  return found.value


def _other(field):
  """A value that is not the default, as a text and as itself."""
  kind = next(kind for kind in field.kinds if kind in hyper.SCALARS)
  value = {bool: not field.default, str: "other"}.get(kind, kind(7))
  return str(value), value


@pytest.mark.parametrize(
  "file", ["configs/default.py", "configs/quickstart.py"]
)
@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_the_command_line_can_set_every_hyper_parameter(
  monkeypatch, file, name
):
  fields = {k: f for k, f in hyper.of(name).items() if f.settable}
  for key, field in fields.items():
    text, value = _other(field)
    flag = f"--config.{name}.{key}={text}"
    config = read_flags(monkeypatch, flag, file=file)
    assert config[name][key] == value
    assert type(config[name][key]) is type(value)


def test_only_functions_cannot_be_set_on_the_command_line():
  closed = {
    (name, key)
    for name in methods.CATALOGUE
    for key, field in hyper.of(name).items()
    if not field.settable
  }
  assert closed == {("clip_cov", "priority")}


def test_members_added_on_the_command_line_take_their_hyper_parameters(
  monkeypatch,
):
  config = read_flags(
    monkeypatch,
    "--config.chain=('grpo','clip_cov','entropy_bonus','aepo')",
    "--config.clip_cov.fraction=0.25",
    "--config.clip_cov.scope_rows=8",
    "--config.entropy_bonus.adaptive=skywork",
    "--config.aepo.target_entropy=0.5",
    "--config.aepo.positive_rule=reward",
  )
  config_lib.check(config)
  plain = config_lib.plain(config)
  assert (plain["clip_cov"]["fraction"], plain["clip_cov"]["scope_rows"]) == (
    0.25,
    8,
  )
  assert plain["entropy_bonus"]["adaptive"] == "skywork"
  assert plain["aepo"]["target_entropy"] == 0.5
  names = [part.name for part in config_lib.build_chain(config).parts]
  assert names == ["grpo", "clip_cov", "entropy_bonus", "aepo"]


def test_what_may_be_none_can_be_set_to_none(monkeypatch):
  flag = "--config.ppo_clip.max_log_ratio=None"
  config = read_flags(monkeypatch, "--config.chain=('grpo','ppo_clip')", flag)
  config_lib.check(config)
  assert config.ppo_clip.max_log_ratio is None


@pytest.mark.parametrize("name", sorted(methods.CATALOGUE.keys() - {"grpo"}))
def test_a_hyper_parameter_of_a_method_outside_the_chain_is_refused(name):
  config = default.get_config()
  config_lib.check(config)
  fields = {k: f for k, f in hyper.of(name).items() if f.settable}
  for key, field in fields.items():
    config = default.get_config()
    config[name][key] = _other(field)[1]
    told = message(config)
    assert f"config.{name} sets {{{key!r}: " in told
    assert f"{name!r} is not in config.chain" in told


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_what_is_written_holds_the_methods_of_the_chain_and_all_their_fields(
  name,
):
  config = quickstart.get_config(f"method={name}")
  plain = config_lib.plain(config)
  assert set(plain) & set(methods.CATALOGUE) == set(config.chain)
  for member in config.chain:
    fields = {k for k, f in hyper.of(member).items() if f.settable}
    assert set(plain[member]) == fields
  assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_the_quickstart_config_is_right_for_every_method(name):
  for arg in (
    f"method={name}",
    f"runlocal,method={name}",
    f"tiny,method={name}",
  ):
    config_lib.check(quickstart.get_config(arg))
