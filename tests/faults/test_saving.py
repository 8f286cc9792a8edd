"""A disk that is full or gone: a run goes on, and says so, or stops in time."""

import contextlib
import json
import os
import resource
import shutil
import types

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict
from peers import Peers

from rlvr_jax.training import digest, resume
from rlvr_jax.training.advance import advance
from rlvr_jax.training.checkpoint import Checkpoints, NotSaved
from rlvr_jax.training.config import ConfigError

TREE = {"run": {"up": jax.random.normal(jax.random.key(0), (256, 64))}}


@contextlib.contextmanager
def full_disk():
  """No file of this process may become longer than 4 kB."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def settled(checkpoints, step):
  """Saves and waits, as the save after the next one does."""
  checkpoints.save(step, TREE)
  checkpoints.settle()


def test_a_failed_save_is_told_and_leaves_the_old_checkpoint(tmp_path, caplog):
  checkpoints = Checkpoints(tmp_path)
  settled(checkpoints, 1)
  with full_disk():
    settled(checkpoints, 2)
    settled(checkpoints, 3)
  told = [r.message for r in caplog.records if "could not be" in r.message]
  assert len(told) == 2
  assert "step 2" in told[0] and "step 3" in told[1]
  assert checkpoints.steps() == [1]
  settled(checkpoints, 4)  # There is room again.
  assert checkpoints.steps() == [4, 1]
  assert digest.of(checkpoints.restore(1, TREE)) == digest.of(TREE)
  checkpoints.close()


def test_the_third_failed_save_in_a_row_stops_the_run(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  settled(checkpoints, 1)
  with full_disk():
    for step in (2, 3):
      settled(checkpoints, step)
  settled(checkpoints, 4)
  with full_disk():
    for step in (5, 6):
      settled(checkpoints, step)
    with pytest.raises(NotSaved, match=r"step 7 .* Make room"):
      settled(checkpoints, 7)
  assert checkpoints.steps() == [4, 1]
  checkpoints.close()


def test_the_last_step_is_tried_again_and_never_lost_in_silence(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  with full_disk():
    checkpoints.save(1, TREE)
    with pytest.raises(NotSaved, match="step 1"):
      checkpoints.commit(1, TREE)
  checkpoints.save(2, TREE)
  checkpoints.commit(2, TREE)
  checkpoints.commit(2, TREE)  # Already there.
  assert checkpoints.steps() == [2]
  checkpoints.close()


def test_a_folder_that_vanished_is_made_again(tmp_path):
  checkpoints = Checkpoints(tmp_path / "run")
  settled(checkpoints, 1)
  shutil.rmtree(tmp_path / "run")
  for step in (2, 3):
    settled(checkpoints, step)
  assert checkpoints.steps()[0] == 3
  checkpoints.close()


def test_closing_hides_no_other_error(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  with pytest.raises(FloatingPointError), full_disk():
    try:
      for step in (1, 2, 3):
        checkpoints.save(step, TREE)
      raise FloatingPointError
    finally:
      checkpoints.close()


def test_what_a_killed_save_left_is_removed_by_the_next_start_alone(tmp_path):
  settled(Checkpoints(tmp_path), 1)
  left = tmp_path / "2.orbax-checkpoint-tmp" / "run"
  left.mkdir(parents=True)
  reader = Checkpoints(tmp_path, read_only=True)
  assert reader.latest() == 1
  reader.restore(1, TREE)
  reader.close()
  assert left.is_dir()  # For a reader it may be a save under way.
  checkpoints = Checkpoints(tmp_path)
  settled(checkpoints, 3)
  checkpoints.close()
  assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_a_folder_that_is_only_read_is_not_made(tmp_path):
  reader = Checkpoints(tmp_path / "none", read_only=True)
  assert reader.latest() is None and resume.newest(reader, None) is None
  reader.close()
  assert not (tmp_path / "none").exists()


def not_writable(tmp_path):
  """Folders that cannot be made, or be written to."""
  (tmp_path / "file").write_text("")
  yield tmp_path / "file"
  yield tmp_path / "file" / "run"
  if os.geteuid():  # The superuser may write anywhere.
    (tmp_path / "locked").mkdir(mode=0o500)
    yield tmp_path / "locked"


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(
  tmp_path,
):
  config = ConfigDict(
    dict(model=dict(folder=""), steps=1, checkpoint=dict(every=1))
  )
  run = types.SimpleNamespace(config=config)  # Whoever computes will miss more.
  for folder in not_writable(tmp_path):
    with pytest.raises(ConfigError) as caught:
      advance(run, folder, None, None)
    told = str(caught.value)
    assert f"--workdir={folder} cannot be written to" in told
    assert "[Errno" in told and "give a folder that can" in told


def test_saving_leaves_the_state_usable_and_takes_no_part_twice(tmp_path):
  checkpoints, tree = Checkpoints(tmp_path), jax.tree.map(jnp.copy, TREE)
  add = jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t), donate_argnums=0)
  for step in (1, 2):
    known = digest.of(tree["run"])
    checkpoints.save(step, tree)
    tree = add(tree)  # What is being written must not change.
    checkpoints.settle()
    held = checkpoints.note(step).parts["run"]
    assert {path: x.digest for path, x in held.items()} == known
    checkpoints.restore(step, TREE)
  checkpoints.close()


@pytest.mark.long
def test_a_disk_full_for_all_processes_is_told_and_left_by_all(tmp_path):
  folder = str(tmp_path / "checkpoints")
  with Peers(2, 2, tmp_path / "logs", folder, "full", module="disks") as peers:
    assert peers.wait(120) == [0, 0]
    for number in range(2):
      log = peers.log(number)
      told = log.split("RESULT")[1].splitlines()[0]
      assert json.loads(told) == dict(kept=[[1], [1], [4, 1]])
      assert log.count("could not be written to") == 2
