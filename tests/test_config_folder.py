"""Which configuration may go on in a folder that holds a run."""

import json

import pytest

import runs
from rlvr_jax.training import config as config_lib
from runs import message


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


def test_a_run_goes_on_with_what_its_own_errors_advise_to_change(
  tmp_path, caplog
):
  written = config_lib.plain(runs.config())
  (tmp_path / "config.json").write_text(json.dumps(written))
  config_lib.check(runs.config(guard__sigmas=9.0), tmp_path)
  assert not caplog.records
  less = dict(train__slices=2, rollout__rows=4, model__remat="none")
  less |= dict(mesh__fsdp=2, mesh__sequence=2)
  config_lib.check(runs.config(**less), tmp_path)
  for name in ("train.slices", "rollout.rows", "model.remat", "mesh.fsdp"):
    assert f"config.{name}" in caplog.text
  assert "by rounding" in caplog.text
  # The window is the shape of an array in its checkpoints.
  told = message(runs.config(guard__window=9), tmp_path)
  assert "holds a run with config.guard.window" in told


def test_a_run_that_drew_in_vain_goes_on_with_a_higher_bound(tmp_path):
  c = runs.config()
  c.rollout.dynamic.metric = "correct"
  written = config_lib.plain(c)
  (tmp_path / "config.json").write_text(json.dumps(written))
  c.rollout.dynamic.max_batches = 0
  config_lib.check(c, tmp_path)
  c.rollout.dynamic.factor = 2.0
  told = message(c, tmp_path)
  assert "holds a run with config.rollout.dynamic.factor = 1.0" in told


@pytest.mark.parametrize("decay", [0, 20])
def test_a_run_whose_learning_rate_ends_says_that_it_cannot_be_longer(
  tmp_path, decay
):
  here = dict(optimizer__warmup=2, optimizer__decay=10)
  written = config_lib.plain(runs.config(**here))
  (tmp_path / "config.json").write_text(json.dumps(written))
  config_lib.check(runs.config(steps=12, **here), tmp_path)
  told = message(runs.config(steps=13, **here), tmp_path)
  assert f"the run in {tmp_path} ends at step 12" in told
  assert "another --workdir" in told and "raise decay" not in told
  # The remedies for a new run are none here.
  remedy = dict(optimizer__warmup=2, optimizer__decay=decay)
  assert "ends at step 12" in message(runs.config(steps=13, **remedy), tmp_path)
  config_lib.check(runs.config(steps=13, **remedy), tmp_path / "new")


def test_a_folder_with_a_damaged_config_is_told(tmp_path):
  (tmp_path / "config.json").write_text("")
  told = message(runs.config(), tmp_path)
  assert str(tmp_path / "config.json") in told and "is not JSON" in told


def test_a_run_of_a_config_without_untouched_fields_goes_on(tmp_path):
  written = config_lib.plain(runs.config())
  del written["grpo"]
  (tmp_path / "config.json").write_text(json.dumps(written))
  config_lib.check(runs.config(), tmp_path)
  config_lib.check(runs.config(grpo=dict()), tmp_path)
  told = message(runs.config(grpo=dict(normalize="batch")), tmp_path)
  assert "holds a run with config.grpo.normalize = 'group'" in told


def test_a_run_goes_on_with_another_chain_only_if_told_to(tmp_path):
  written = config_lib.plain(runs.config(chain=("grpo", "steer")))
  (tmp_path / "config.json").write_text(json.dumps(written))
  other = runs.config(chain=("grpo", "entropy_bonus"))
  told = message(other, tmp_path)
  assert "holds a run with config.chain = ['grpo', 'steer']" in told
  assert "config.checkpoint.new_chain=True to keep its weights" in told
  other.checkpoint.new_chain = True
  config_lib.check(other, tmp_path)
  other.rollout.per_prompt = 2  # what is sampled goes with the chain
  config_lib.check(other, tmp_path)
  other.optimizer.b1 = 0.8
  told = message(other, tmp_path)
  assert "config.optimizer.b1 = 0.9" in told and "chain" not in told
