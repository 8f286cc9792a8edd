"""SIGTERM and Ctrl-C ask a run to stop; the exit status tells what is saved."""

import os
import signal
import sys
import types

import jax.numpy as jnp
import pytest

import runs
from rlvr_jax.training import (
  advance,
  command,
  compare,
  loop,
  preemption,
  supervised,
)
from rlvr_jax.training.checkpoint import NotSaved


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_only_asks_however_often_it_comes(number, capfd):
  before = signal.getsignal(number)
  with preemption.listening():
    preemption.look()
    for _ in range(3):
      os.kill(os.getpid(), number)
    assert preemption.reached()
    with pytest.raises(preemption.Preempted):
      preemption.look()
  assert signal.getsignal(number) is before
  assert f"{number.name}: saving the last whole step" in capfd.readouterr().err


def test_what_was_asked_of_one_program_is_not_asked_of_the_next():
  with preemption.listening():
    os.kill(os.getpid(), signal.SIGTERM)
  with preemption.listening():
    preemption.look()


@pytest.mark.parametrize(
  ("error", "status", "told"),
  [
    (preemption.Preempted(3), 0, "stopped after step 3, which is saved"),
    (preemption.Preempted(), 75, "before there was anything to save"),
    (NotSaved("no room"), 75, "error: no room"),
  ],
)
def test_only_what_is_on_disk_ends_with_status_0(
  monkeypatch, capsys, error, status, told
):
  monkeypatch.setattr(sys, "argv", ["program"])
  for stream in ("stdout", "stderr"):  # A program takes them for itself.
    monkeypatch.setattr(sys, stream, getattr(sys, stream))

  def main():
    raise error

  with pytest.raises(SystemExit) as caught:
    command.run(main, trains=True)
  assert caught.value.code == status
  assert told in capsys.readouterr().err


def test_a_warm_start_that_is_stopped_has_nothing_to_save(monkeypatch):
  monkeypatch.setattr(preemption, "reached", lambda: True)
  run = types.SimpleNamespace(config=runs.config())
  with pytest.raises(preemption.Preempted) as caught:
    supervised.train(run, None, {"up": jnp.ones(2)})
  assert caught.value.step is None


def test_a_run_that_is_asked_meanwhile_compiles_no_further_program(
  tmp_path, monkeypatch
):
  compiled, before = [], iter((False, True))
  traced = types.SimpleNamespace(
    lower=lambda: types.SimpleNamespace(compile=lambda: compiled.append("one"))
  )
  ahead = lambda *args: [("rollout", traced), ("prepare", traced)]
  run = types.SimpleNamespace(
    config=runs.config(), programs=types.SimpleNamespace(ahead=ahead)
  )
  monkeypatch.setattr(preemption, "reached", lambda: next(before))
  monkeypatch.setattr(advance.memory, "of", lambda programs: {})
  state = types.SimpleNamespace(step=0)
  with pytest.raises(preemption.Preempted):
    advance._compile(run, tmp_path, state, None, lambda run, state: (), {})
  assert compiled == ["one"]


def test_a_comparison_stops_with_the_run_that_was_asked(tmp_path, monkeypatch):
  begun = []

  def train(config, workdir):
    begun.append(workdir.name)
    raise preemption.Preempted(7)

  def make(method):
    data = dict(task__data_dir=str(tmp_path / "data"))
    return runs.config(chain=(method,), **data)

  monkeypatch.setattr(loop, "train", train)
  monkeypatch.setattr(compare, "rehearse", lambda runs, workdir: None)
  with pytest.raises(preemption.Preempted):
    compare.compare(make, ["grpo", "rloo"], [0], tmp_path, "title")
  assert begun == ["grpo"]
