"""Damaged checkpoints are found, told, set aside, and never trained over."""

import errno
import json
import os
import pathlib
import random
import resource
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from peers import Peers

import runs
from rlvr_jax.training import digest, resume, state
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.config import ConfigError
from rlvr_jax.training.damage import Damaged

pytestmark = pytest.mark.usefixtures("quick_compile")

KEY = jax.random.key(0)
TREE = {
  "params": {
    "up": jax.random.normal(KEY, (48, 40)),
    "down": jax.random.normal(KEY, (40, 48), jnp.bfloat16),
  },
  "step": jnp.int32(3),
}


def saved(folder, *steps):
  """Checkpoints whose weights are multiples of their steps."""
  checkpoints = Checkpoints(folder, keep=9)
  for step in steps:
    checkpoints.commit(step, {"run": times(step)}, {"chain": ["grpo"]})
  return checkpoints


def times(step):
  return jax.tree.map(lambda x: x * step, TREE)


def newest(checkpoints):
  return resume.newest(checkpoints, lambda note: {"run": TREE})


def data_file(folder, step):
  """The file that holds most of the arrays."""
  files = (folder / str(step) / "run").rglob("d/*")
  return max(files, key=lambda path: path.stat().st_size)


def flip(path, dice):
  content = bytearray(path.read_bytes())
  content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
  path.write_bytes(content)


def test_every_one_of_twenty_flipped_bits_is_found(tmp_path):
  checkpoints = saved(tmp_path, 1)
  path, told = data_file(tmp_path, 1), []
  whole = path.read_bytes()
  for seed in range(20):
    flip(path, random.Random(seed))
    with pytest.raises(Damaged) as caught:
      checkpoints.restore(1, {"run": TREE})
    told.append(str(caught.value))
    path.write_bytes(whole)
  named = [x for x in told if "params.up has" in x or "params.down has" in x]
  assert len(named) > 10  # The rest hit what Orbax itself notices.
  checkpoints.restore(1, {"run": TREE})
  checkpoints.close()


DAMAGE = {
  "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
  "empty": lambda path: path.write_bytes(b""),
  "gone": lambda path: path.unlink(),
  "flipped": lambda path: flip(path, random.Random(0)),
}
FILES = {
  "arrays": lambda folder: data_file(folder, 2),
  "manifest": lambda folder: folder / "2/run/manifest.ocdbt",
  "metadata": lambda folder: folder / "2/run/_METADATA",
  "note": lambda folder: folder / "2/note/metadata",
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", DAMAGE)
def test_the_checkpoint_before_a_damaged_one_is_used(
  tmp_path, caplog, how, file
):
  checkpoints = saved(tmp_path, 1, 2)
  DAMAGE[how](FILES[file](tmp_path))
  step, found = newest(checkpoints)
  assert checkpoints.latest() == step
  checkpoints.close()
  assert digest.of(found["run"]) == digest.of(times(step))
  if step == 2:  # It was read all the same.
    assert file == "metadata"
    return
  assert "step 2" in caplog.text and "2.corrupt" in caplog.text
  assert not (tmp_path / "2").exists()
  assert (tmp_path / "2.corrupt" / "run").is_dir()


def test_a_reader_leaves_a_damaged_checkpoint_where_it_is(tmp_path, caplog):
  saved(tmp_path, 1, 2).close()
  data_file(tmp_path, 2).unlink()
  reader = Checkpoints(tmp_path, read_only=True)
  step, _ = newest(reader)
  reader.close()
  assert step == 1 and "step 2" in caplog.text
  assert (tmp_path / "2").is_dir() and not reader.damaged()


def test_a_checkpoint_without_a_note_is_of_an_older_version(tmp_path):
  checkpoints = saved(tmp_path, 1)
  shutil.rmtree(tmp_path / "1" / "note")
  with pytest.raises(ConfigError, match="written by an older version"):
    newest(checkpoints)
  assert checkpoints.steps() == [1] and not checkpoints.damaged()
  checkpoints.close()


def test_too_many_open_files_are_no_damage(tmp_path):
  checkpoints = saved(tmp_path, 1, 2)
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  lowest = os.open(os.devnull, os.O_RDONLY)
  os.close(lowest)
  resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
  try:
    with pytest.raises(OSError, match="may be whole and is left where it is"):
      newest(checkpoints)
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  assert newest(checkpoints)[0] == 2 and not checkpoints.damaged()
  checkpoints.close()


@pytest.mark.parametrize(
  "error",
  [
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.ESTALE, "Stale file handle"),
    ValueError("Failed to open: Connection timed out [os_error_code='110']"),
  ],
  ids=["who", "stale", "timed out"],
)
def test_an_error_of_the_machine_sets_nothing_aside(
  tmp_path, monkeypatch, error
):
  def fails(*_):
    raise Exception("Encountered error while reading") from error

  checkpoints = saved(tmp_path, 1)
  with monkeypatch.context() as patch:
    patch.setattr(checkpoints, "_read", fails)
    with pytest.raises(OSError, match="cannot be read now"):
      newest(checkpoints)
  assert newest(checkpoints)[0] == 1 and not checkpoints.damaged()
  checkpoints.close()


def test_a_changed_note_is_damage_and_not_another_model(tmp_path):
  checkpoints = saved(tmp_path, 1)
  path = tmp_path / "1" / "note" / "metadata"
  path.write_text(path.read_text().replace("[48, 40]", "[48, 44]"))
  with pytest.raises(Damaged, match="not as it was written"):
    checkpoints.note(1)
  checkpoints.close()


def test_nothing_whole_left_stops_with_all_reasons_now_and_later(tmp_path):
  checkpoints = saved(tmp_path, 1, 2)
  for step in (1, 2):
    data_file(tmp_path, step).unlink()
  with pytest.raises(ConfigError) as caught:
    newest(checkpoints)
  told = str(caught.value)
  assert "- step 2: " in told and "- step 1: " in told
  assert "or remove the folder to begin again" in told
  checkpoints.close()
  again = Checkpoints(tmp_path)
  with pytest.raises(ConfigError, match=r"\['1.corrupt', '2.corrupt'\]"):
    newest(again)
  again.close()


def test_a_step_that_is_damaged_twice_is_kept_twice(tmp_path):
  checkpoints = saved(tmp_path, 1, 2)
  assert checkpoints.set_aside(2) == "2.corrupt"
  checkpoints.commit(2, {"run": TREE})
  assert checkpoints.set_aside(2) == "2.corrupt-2"
  assert checkpoints.set_aside(1) == "1.corrupt"
  checkpoints.close()


def test_a_folder_without_checkpoints_is_no_error(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  assert newest(checkpoints) is None
  checkpoints.close()


def run(*chain, devices=1, shape=None, new_chain=False, **sizes):
  """What resuming reads of a run."""
  p = runs.programs(*chain, devices=devices, shape=shape, model=sizes)
  config = ConfigDict(dict(chain=chain, checkpoint=dict(new_chain=new_chain)))
  return types.SimpleNamespace(config=config, programs=p, mesh=p.mesh, key=KEY)


def params_of(of):
  return of.programs.model.init(KEY)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A state of a chain that remembers, on four devices, after step 5."""
  folder = tmp_path_factory.mktemp("written")
  of = run("grpo", "siren", devices=4, shape=dict(data=2, fsdp=2))
  begun, _ = runs.start(of.programs)
  begun = begun.replace(step=jnp.int32(5), cursor=jnp.int32(40))
  checkpoints = Checkpoints(folder)
  checkpoints.commit(5, state.parts(begun), resume.facts(of))
  checkpoints.close()
  return folder, begun


def started(folder: pathlib.Path, of, params=None):
  checkpoints = Checkpoints(folder)
  try:
    params = params_of(of) if params is None else params
    return resume.start(of, params, None, checkpoints)
  finally:
    checkpoints.close()


@pytest.mark.parametrize(
  ("devices", "shape"),
  [(4, dict(data=4)), (2, dict(fsdp=2)), (1, None)],
)
def test_a_state_is_the_same_on_another_mesh(written, devices, shape):
  folder, begun = written
  found = started(folder, run("grpo", "siren", devices=devices, shape=shape))
  assert digest.of(found) == digest.of(begun)
  assert found.params["blocks"]["up"].sharding.num_devices == devices


def test_another_chain_is_told_with_the_switch(written):
  folder, _ = written
  with pytest.raises(ConfigError) as caught:
    started(folder, run("grpo", "steer"))
  told = str(caught.value)
  assert "'grpo', 'siren'" in told and "'grpo', 'steer'" in told
  assert "method.siren" in told
  assert "config.checkpoint.new_chain=True" in told
  assert (folder / "5").is_dir()  # It is not damaged.


def test_a_new_chain_keeps_all_but_what_methods_remember(written):
  folder, begun = written
  of = run("grpo", "aepo", new_chain=True)
  found = started(folder, of)
  kept, old = (state.parts(x)["run"] for x in (found, begun))
  assert digest.of(kept) == digest.of(old)
  fresh = runs.start(of.programs)[0]
  assert digest.of(found.method) == digest.of(fresh.method)
  again = run("grpo", "siren", new_chain=True)
  assert digest.of(started(folder, again)) == digest.of(begun)


def test_another_model_is_told_with_both_shapes(written):
  folder, _ = written
  with pytest.raises(ConfigError) as caught:
    started(folder, run("grpo", "siren", width=24))
  told = str(caught.value)
  assert "holds another model: params." in told
  assert "16" in told and "24" in told
  assert (folder / "5").is_dir()


@pytest.mark.long
@pytest.mark.parametrize(
  ("devices", "shape"), [(4, dict(data=4)), (2, dict(fsdp=2)), (1, None)]
)
def test_a_run_goes_on_alike_on_another_mesh(written, devices, shape):
  folder, _ = written
  same = run("grpo", "siren", devices=4, shape=dict(data=2, fsdp=2))
  other = run("grpo", "siren", devices=devices, shape=shape)
  ends = []
  for of in (same, other):
    found = started(folder, of)
    ref = jax.tree.map(jnp.copy, params_of(of))
    for _ in range(5):
      found, _ = runs.step(of.programs, found, ref)
    ends.append(jax.device_get(found.params))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *ends)


@pytest.mark.long
def test_arrays_cut_for_one_process_are_left_alone_by_both(tmp_path):
  folder = str(tmp_path / "checkpoints")
  with Peers(2, 2, tmp_path / "logs", folder, "cut", module="disks") as peers:
    assert peers.wait(120) == [0, 0]
    for number in range(2):
      told = peers.log(number).split("RESULT")[1].splitlines()[0]
      assert json.loads(told) == dict(step=1, same=True, damaged=["2.corrupt"])
