"""Several processes on one machine, over loopback, against one."""

import json

import jax
import numpy as np
import pytest

import share
from peers import Peers
from rlvr_jax import processes
from rlvr_jax.models import mesh as mesh_lib


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
