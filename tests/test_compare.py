"""Comparisons: what is refused before the first run, and what is shared."""

import pytest

import runs
from rlvr_jax.training import compare, loop
from rlvr_jax.training import config as config_lib


@pytest.mark.parametrize(
  ("flag", "told"),
  [
    ("--methods=grpo,stear", "no method named 'stear' (did you mean 'steer'?)"),
    pytest.param(
      "--seeds=a", "--seeds: 'a' must be a whole number", marks=pytest.mark.long
    ),
    pytest.param(
      "--config.steer.w_min=0.5",
      "'steer' is not in config.chain",
      marks=pytest.mark.long,
    ),
    pytest.param(
      "--config.chain=('grpo',)",
      "--methods decides the chains",
      marks=pytest.mark.long,
    ),
  ],
)
def test_a_wrong_comparison_ends_with_one_message_and_no_traceback(
  flag, told, tmp_path
):
  folder = tmp_path / "comparison"
  given = ("--config=configs/quickstart.py", f"--workdir={folder}")
  process = runs.spawn(
    *given, "--methods=grpo", flag, module="experiments.compare"
  )
  out, _ = process.communicate(timeout=120)
  assert process.returncode == 2
  assert told in out and "Traceback" not in out
  assert not folder.exists()


def _make(tmp_path, **aepo):
  """Configurations of a comparison whose command line set these."""

  def make(name):
    chain = ("grpo",) if name == "grpo" else ("grpo", name)
    config = runs.config(chain=chain, task__data_dir=str(tmp_path / "data"))
    values = dict(target_entropy=0.5, rows=8, per_prompt=4) | aepo
    config.aepo.update(values)
    return config

  return make


def test_a_comparison_takes_hyper_parameters_of_the_methods_it_compares(
  tmp_path,
):
  found = compare.plan(_make(tmp_path), ["grpo", "aepo"], [0], tmp_path)
  assert found["aepo"].aepo.rows == 8
  assert "aepo" not in config_lib.plain(found["grpo"])
  with pytest.raises(config_lib.ConfigError) as caught:
    compare.plan(_make(tmp_path), ["grpo", "steer"], [0], tmp_path)
  for name in ("grpo", "steer"):
    assert f"{name}: config.aepo sets" in str(caught.value)


def test_a_problem_that_runs_share_is_told_once(tmp_path):
  def make(name):
    return runs.config(steps=0)

  with pytest.raises(config_lib.ConfigError) as caught:
    compare.plan(make, ["grpo", "steer"], [0, 1], tmp_path)
  assert str(caught.value).count("config.steps = 0") == 1
  assert "grpo-seed0, steer-seed0, grpo-seed1, steer-seed1" in str(caught.value)


@pytest.mark.parametrize(
  ("names", "seeds"), [([], [0]), (["grpo"], []), (["grpo"] * 2, [0])]
)
def test_a_comparison_names_each_method_and_seed_once(tmp_path, names, seeds):
  with pytest.raises(config_lib.ConfigError, match="at least one, each once"):
    compare.plan(_make(tmp_path), names, seeds, tmp_path)


def _model_of(name, config):
  config.model.width = 32 if name == "steer" else 16
  return config


def test_a_comparison_trains_nothing_if_its_last_run_cannot_be_built(
  tmp_path, monkeypatch
):
  def no_training(config, workdir):
    raise AssertionError(f"trained {workdir}")

  monkeypatch.setattr(loop, "train", no_training)
  folder = tmp_path / "runs"
  rows = _make(tmp_path, per_prompt=3)
  with pytest.raises(
    config_lib.ConfigError, match="the rows that methods draw"
  ):
    compare.compare(rows, ["grpo", "aepo"], [0], folder, "")
  plain = lambda name: runs.config(task__data_dir=str(tmp_path / "data"))
  model = lambda name: _model_of(name, plain(name))
  with pytest.raises(config_lib.ConfigError, match="model.width"):
    compare.compare(model, ["grpo", "steer"], [0], folder, "")
  assert not folder.exists()
