"""A run that nothing moves any more stops with a dump that shows why."""

import json
import types

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import runs
from poison import Poison, poisoned
from rlvr_jax.training import advance, dump, guard, loop, replay, updates
from rlvr_jax.training import config as config_lib

pytestmark = pytest.mark.usefixtures("quick_compile")

LIMIT = 5
FIRST = 2  # poisoned step; two updates in each


@pytest.fixture(scope="module")
def run():
  """As `build` gives it, but for a method that no catalogue holds."""
  at = dict.fromkeys(range(FIRST, 32), Poison.NAN_LOSS)
  p = poisoned(at, guard_limit=LIMIT)
  config = runs.config()
  return types.SimpleNamespace(
    config=config, programs=p, mesh=p.mesh, key=jax.random.key(0)
  )


@pytest.fixture(scope="module")
def stopped(run):
  """What was raised, and the state of the last step before the poison."""
  p = run.programs
  state, ref = runs.start(p)
  good = None
  with pytest.raises(updates.Refused) as raised:
    while True:
      batch = runs.sample(p, state, ref)
      reward = np.asarray(batch.mask.sum(1) % 2, np.float32)
      known = np.ones(len(reward), bool)
      batch, method, _ = p.prepare(state, batch, reward, known, {})
      state, _ = updates.make(p, state.replace(method=method), None, batch, {})
      if int(state.guard.refused) == 0:
        good = jax.device_get(state)
  return raised.value, good


@pytest.fixture(scope="module")
def folder(run, stopped, tmp_path_factory):
  return dump.write(run, stopped[0], tmp_path_factory.mktemp("run"))


def test_the_run_stops_at_the_fifth_refused_update_in_a_row(stopped):
  refused, _ = stopped
  # Updates of steps 2, 2, 3, 3 and the first of step 4.
  assert int(refused.state.step) == FIRST + 2 and refused.update == 0
  assert refused.metrics["guard/consecutive_max"] == LIMIT
  assert "5 updates in a row were refused" in str(refused)


def test_the_state_is_the_one_before_the_first_refused_update(stopped):
  refused, good = stopped
  for name in ("params", "opt", "method"):
    got = jax.device_get(getattr(refused.state, name))
    jax.tree.map(np.testing.assert_array_equal, got, getattr(good, name))


def test_the_dump_is_json_and_arrays_that_execute_nothing(folder, stopped):
  note = json.loads((folder / dump.NOTE).read_text())
  assert note["step"] == FIRST + 2 and note["update"] == 0
  assert note["reason"] == "the loss is nan"
  assert note["metrics"]["loss/total"] == "nan"
  assert note["config"]["chain"] == ["grpo"]
  rollout = load_file(folder / dump.ROLLOUT)
  batch = stopped[0].batch
  np.testing.assert_array_equal(rollout["tokens"], batch.tokens)
  assert {k for k in rollout if k.startswith("stats/")} == {
    f"stats/{k}" for k in batch.stats
  }


def test_the_dump_comes_back_bit_for_bit(folder, run, stopped):
  state, ref, batch = dump.read(folder, run)
  refused, _ = stopped
  assert ref is None
  wanted = jax.device_get((refused.state, refused.batch))
  jax.tree.map(np.testing.assert_array_equal, (state, batch), wanted)


def test_a_run_that_fails_again_finds_its_dump_there(folder, run, stopped):
  before = (folder / dump.NOTE).stat().st_mtime_ns
  again = dump.write(run, stopped[0], folder.parent.parent)
  assert again == folder
  assert (folder / dump.NOTE).stat().st_mtime_ns == before


@pytest.mark.parametrize(
  ("known", "norm", "harmless", "told"),
  [
    (0, 3.0, 0.0, "the new state of a method is not finite"),
    (3, 300.0, 0.0, "the new state of a method is not finite"),
    (4, 3.0, 0.0, "the new state of a method is not finite"),
    (4, 300.0, 500.0, "the new state of a method is not finite"),
    (4, 300.0, 200.0, "the gradient norm 300.0 is far above the usual 1"),
  ],
)
def test_the_reason_is_a_spike_only_where_the_guard_tells_one(
  known, norm, harmless, told
):
  """Of 8 norms it has to know 4; it knew none when all were refused."""
  seen = guard.init(8)
  for _ in range(known):
    seen = guard.advance(seen, np.bool(True), np.float32(1))
  refused = types.SimpleNamespace(
    state=types.SimpleNamespace(guard=seen),
    metrics={dump.LOSS: 0.5, dump.NORM: norm},
  )
  assert dump.reason(refused, 6.0, harmless) == told


def test_what_another_run_has_dumped_stays_as_it_is(run, stopped, tmp_path):
  refused, _ = stopped
  first = dump.write(run, refused, tmp_path)
  (first / dump.NOTE).unlink()  # as if it had been killed before the end
  other = types.SimpleNamespace(
    config=runs.config(seed=7), programs=run.programs
  )
  second = dump.write(other, refused, tmp_path)
  third = dump.write(run, refused, tmp_path)
  names = [folder.name for folder in (first, second, third)]
  assert names == [first.name, f"{first.name}-2", f"{first.name}-3"]
  assert not (first / dump.NOTE).exists()
  assert dump.note(second)["config"]["seed"] == 7
  # Each is found again.
  assert dump.write(other, refused, tmp_path) == second
  assert dump.write(run, refused, tmp_path) == third


def test_a_disk_without_room_for_the_dump_does_not_hide_why_the_run_stops(
  run, stopped, tmp_path
):
  (tmp_path / "refused").write_text("a file where a folder would be")
  with pytest.raises(FloatingPointError, match="5 updates in a row") as told:
    with advance._explained(run, tmp_path, {}):
      raise stopped[0]
  assert "(The dump could not be written: " in str(told.value)
  assert "experiments.replay" not in str(told.value)


def test_the_replay_gives_the_same_numbers_and_names_what_broke_first(
  folder, run, monkeypatch, capsys
):
  monkeypatch.setattr(replay, "built", lambda config: run)
  with runs.program("experiments.replay") as program:
    program.main(str(folder))
  told = capsys.readouterr().out
  assert "the same numbers as in the run" in told
  assert "first not finite: weights after poison, " in told
  assert "then loss" in told


def test_a_replay_with_other_numbers_says_so(folder, run, monkeypatch):
  note = dump.note(folder)
  note["metrics"]["loss/total"] = 0.5
  found = replay.Replay(note, dump.note(folder)["metrics"], [])
  assert not found.same
  assert "NOT the numbers of the run" in replay.text(found)


def test_a_single_number_among_many_slices_is_not_told_as_none(folder):
  note = dump.note(folder)
  broken = [("statistic logp", 0.125), ("gradient['up']", 4194304.0)]
  told = replay.text(replay.Replay(note, note["metrics"], broken))
  assert "first not finite: statistic logp, 0.12 of its numbers" in told
  assert "then gradient['up'], 4194304" in told


def test_a_folder_without_a_dump_is_refused_by_name(tmp_path):
  with pytest.raises(config_lib.ConfigError, match="holds no dump.json"):
    replay.replay(tmp_path)


def held(folder):
  """All bytes of a folder by path."""
  files = (path for path in folder.rglob("*") if path.is_file())
  return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.long
def test_a_run_stops_with_a_dump_that_the_command_line_replays(tmp_path):
  """A bonus that overflows: from the configuration to the first number.

  The checkpoint from before the stop is as it was, and the last one.
  """
  c = runs.config(
    chain=("grpo", "entropy_bonus"),
    entropy_bonus=dict(coef=1e38),
    task__data_dir=str(tmp_path / "data"),
    steps=1,
    checkpoint__every=1,
  )
  workdir = tmp_path / "run"
  loop.train(c, workdir)
  before = held(workdir / "checkpoints" / "1")
  assert before
  c.steps, c.checkpoint.every = 8, 4  # It stops in the third.
  with pytest.raises(FloatingPointError, match="experiments.replay") as told:
    loop.train(c, workdir)
  (folder,) = (workdir / "refused").iterdir()
  assert str(folder) in str(told.value)
  assert [x.name for x in (workdir / "checkpoints").glob("[0-9]*")] == ["1"]
  assert held(workdir / "checkpoints" / "1") == before
  process = runs.spawn(str(folder), module="experiments.replay")
  out, _ = process.communicate(timeout=240)
  assert process.returncode == 0, out
  assert "the same numbers as in the run" in out
