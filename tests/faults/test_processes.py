"""Several processes on one machine, over loopback, against one."""

import json
import os
import signal

import jax
import numpy as np
import pytest
import share
from peers import Peers

from rlvr_jax import processes
from rlvr_jax.models import mesh as mesh_lib

DEADLINE = 540  # seconds for a run that is not disturbed
LOST = 60  # seconds after which no process may wait for one that is lost


@pytest.fixture
def grams(tmp_path):
  path = tmp_path / "grams.txt"
  path.write_text("ab\nb\n")
  return str(path)


def results(peers):
  lines = [peers.log(i).splitlines() for i in range(len(peers.processes))]
  found = [[x for x in told if x.startswith("RESULT")] for told in lines]
  return [json.loads(one.removeprefix("RESULT")) for (one,) in found]


def test_processes_share_the_work_and_know_the_same(tmp_path, grams):
  mesh = mesh_lib.make_mesh(devices=jax.devices()[:4])
  alone = share.outcome(mesh, grams)
  with Peers(2, 2, tmp_path, grams, module="share") as peers:
    assert peers.wait(240) == [0, 0]
    told = results(peers)
  for one in told:
    for name in ("reward", "known", "answers", "notes"):
      assert one[name] == alone[name], name
    assert one["someone"] and not one["nobody"]
    assert one["said"] == [[""], ["x" * 100]]
  # Nobody graded a row of another, and each row was graded by somebody.
  shares = [one["graded_here"] for one in told]
  assert [len(one) for one in shares] == [14, 14]
  assert shares[0] + shares[1] == alone["graded_here"]


@pytest.mark.long
def test_processes_keep_the_same_groups_and_learn_the_same(tmp_path, shared):
  told = []
  for count in (1, 2):
    folder = tmp_path / str(count)
    with Peers(count, 4 // count, folder, str(shared), module="drawn") as peers:
      assert peers.wait(DEADLINE) == [0] * count
      told += results(peers)
  alone = told[0]
  assert alone["batches"] > 1 and alone["norm"] > 0.01
  for one in told[1:]:
    norm = one.pop("norm")
    assert one == {k: v for k, v in alone.items() if k != "norm"}
    np.testing.assert_allclose(norm, alone["norm"], rtol=1e-5)


def test_every_row_has_one_process_that_answers_for_it():
  mesh = mesh_lib.make_mesh(2, 2, 2)
  x = np.arange(24).reshape(8, 3)
  numbers, rows = processes.held(mesh_lib.put(x, mesh_lib.by_row(mesh)))
  np.testing.assert_array_equal(numbers, range(8))
  np.testing.assert_array_equal(rows, x)


@pytest.mark.parametrize(
  ("given", "told"),
  [
    (dict(JAX_PROCESS_ID="1"), "set all three"),
    (dict(JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="0"), "'', JAX_NUM_PROCESSES"),
    (
      dict(
        JAX_COORDINATOR_ADDRESS="h:1", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="2"
      ),
      "must be less than JAX_NUM_PROCESSES = 2",
    ),
  ],
)
def test_an_environment_that_is_half_there_is_refused(monkeypatch, given, told):
  for name, value in given.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(ValueError, match=told):
    processes.start()


@pytest.mark.parametrize(
  ("environment", "called"),
  [
    ({}, []),
    (dict(SLURM_STEP_NUM_TASKS="1"), []),
    (dict(SLURM_STEP_NUM_TASKS="4"), [{}]),
    (dict(JAX_NUM_PROCESSES="auto"), [{}]),
    (
      dict(
        JAX_COORDINATOR_ADDRESS="h:1", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="1"
      ),
      [dict(coordinator_address="h:1", num_processes=2, process_id=1)],
    ),
  ],
)
def test_the_environment_tells_of_the_others(monkeypatch, environment, called):
  calls = []

  def initialize(heartbeat_timeout_seconds, shutdown_timeout_seconds, **given):
    assert heartbeat_timeout_seconds + shutdown_timeout_seconds < 60
    calls.append(given)

  monkeypatch.setattr(jax.distributed, "initialize", initialize)
  monkeypatch.setattr(jax.config, "update", lambda *_: None)
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  processes.start()
  assert calls == called


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
  """Data and compiled programs that all runs of this file share."""
  programs = os.fspath(tmp_path_factory.mktemp("programs"))
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("JAX_COMPILATION_CACHE_DIR", programs)
    patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    yield tmp_path_factory.mktemp("data")


def train(count, devices, folder, data, *flags, torn=False, **kwargs):
  config = f"tests/faults/together.py:{data}{',torn' if torn else ''}"
  run = f"--workdir={folder / 'run'}"
  logs = folder / f"logs{len(list(folder.glob('logs*')))}"
  return Peers(
    count, devices, logs, f"--config={config}", run, *flags, **kwargs
  )


def finished(count, devices, folder, data, *flags, torn=False):
  with train(count, devices, folder, data, *flags, torn=torn) as peers:
    assert peers.wait(DEADLINE) == [0] * count
  return folder / "run"


def lines(run, name="metrics.jsonl"):
  return [json.loads(x) for x in (run / name).read_text().splitlines()]


def same_metrics(a, b, **tolerance):
  timed = lambda name: name.startswith("time/") or "per_second" in name
  a, b = lines(a), lines(b)
  assert len(a) == len(b)
  for one, other in zip(a, b):
    assert one.keys() == other.keys()
    names = [n for n in one if not timed(n) and one[n] is not None]
    np.testing.assert_allclose(
      [one[n] for n in names], [other[n] for n in names], **tolerance
    )


def up_to(run, step):
  path = run / "metrics.jsonl"
  return lambda: path.exists() and path.read_text().count("\n") > step


@pytest.mark.long
def test_several_processes_train_as_one_with_as_many_devices(tmp_path, shared):
  one = finished(1, 4, tmp_path / "1", shared, torn=True)
  norms = [line["update/gradient_norm"] for line in lines(one)]
  assert min(norms) > 0.01, "nothing is learned"
  for count in (2, 4):
    folder = tmp_path / str(count)
    several = finished(count, 4 // count, folder, shared, torn=True)
    accuracy = [lines(run, "accuracy.jsonl") for run in (one, several)]
    assert accuracy[0] == accuracy[1]  # The same prompts, in the same order.
    same_metrics(one, several, rtol=1e-5, atol=1e-5)
    # One of them wrote.
    assert len(list((several / "tensorboard").iterdir())) == 1


@pytest.mark.long
def test_several_processes_share_the_rollout_that_waits(tmp_path, shared):
  flags = (
    "--config.async_rollout=True",
    "--config.chain=('rollout_correction','seed_grpo')",
    "--config.rollout.old_logp=score",
  )
  told = [
    finished(count, 4 // count, tmp_path / str(count), shared, *flags)
    for count in (1, 2)
  ]
  same_metrics(*told, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, shared):
  whole = finished(1, 4, tmp_path / "whole", shared, "--config.steps=3")
  folder = tmp_path / "changing"
  for steps, count in enumerate((1, 2, 1), 1):
    flag = f"--config.steps={steps}"
    run = finished(count, 4 // count, folder, shared, flag)
  # What is restored is compared with the digests of what was saved.
  assert not list((run / "checkpoints").glob("*.corrupt*"))
  names = [lines(each, "accuracy.jsonl") for each in (whole, run)]
  assert [x["problems"] for x in names[0]] == [x["problems"] for x in names[1]]
  trained = [[x["reward/mean"] for x in lines(each)] for each in (whole, run)]
  np.testing.assert_allclose(*trained, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("lost", [1, 0])
def test_a_lost_process_ends_the_others_with_its_name(tmp_path, shared, lost):
  with train(2, 2, tmp_path, shared, "--config.steps=100000") as peers:
    peers.until(up_to(tmp_path / "run", 1), DEADLINE)
    os.killpg(peers.processes[lost].pid, signal.SIGKILL)
    assert peers.wait(LOST)[1 - lost] not in (0, None)
    told = peers.log(1 - lost)
  # Whichever comes first: silence, or a connection that breaks.
  named = (
    "unhealthy (stopped sending heartbeats):\n1\n",
    "Some timed out task names:\n1\n",
  )
  leader = "leader (usually slice 0 task 0)"
  assert any(name in told for name in named) if lost else leader in told


@pytest.mark.long
def test_an_exception_in_one_process_ends_the_others(tmp_path, shared):
  flag = "--config.steps=100000"
  with train(2, 2, tmp_path, shared, flag, module="failing") as peers:
    peers.until(up_to(tmp_path / "run", 1), DEADLINE)
    assert 0 not in peers.wait(LOST)
    assert "ArithmeticError: the verifier broke" in peers.log(1)
    assert "The first task at the barrier: 1" in peers.log(0)


@pytest.mark.long
def test_sigterm_to_one_process_saves_one_step_of_all(tmp_path, shared):
  with train(2, 2, tmp_path / "war", shared, "--config.steps=40") as peers:
    peers.until(up_to(tmp_path / "war" / "run", 2), DEADLINE)
    peers.processes[1].send_signal(signal.SIGTERM)
    assert peers.wait(LOST) == [0, 0]
    said = [peers.log(i).splitlines()[-1] for i in range(2)]
  assert said[0] == said[1] and "which is saved" in said[0]
  step = int(said[0].split("after step ")[1].split(",")[0])
  run = tmp_path / "war" / "run"
  assert step == len(lines(run)) and (run / "checkpoints" / str(step)).is_dir()
  finished(2, 2, tmp_path / "war", shared, "--config.steps=40")
  peace = finished(2, 2, tmp_path / "peace", shared, "--config.steps=40")
  same_metrics(peace, run, rtol=0, atol=0)
