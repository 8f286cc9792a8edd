"""Files of metrics that fail: a run goes on and says so once."""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from rlvr_jax.training import config, metrics

LINE = {"reward/mean": 0.5, "loss/total": float("nan")}


def steps(path):
  return [json.loads(x)["step"] for x in path.read_text().splitlines()]


def warned(caplog):
  return [r for r in caplog.records if "cannot be written" in r.message]


@pytest.fixture
def patient(tmp_path):
  path = tmp_path / "run" / "metrics.jsonl"
  path.parent.mkdir()
  return path, metrics.Patient(metrics.JsonWriter(path), str(path))


def test_a_deleted_file_is_made_again(patient, caplog):
  path, writer = patient
  writer.write(0, LINE)
  path.unlink()
  writer.write(1, LINE)
  shutil.rmtree(path.parent)
  writer.write(2, LINE)
  writer.write(3, LINE)
  assert steps(path) == [2, 3]
  assert not warned(caplog)


def test_lines_wait_while_they_cannot_be_written_and_are_never_cut(
  patient, caplog
):
  path, writer = patient
  writer.write(0, LINE)
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  room = path.stat().st_size + 10  # Less than a line.
  resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
  try:
    writer.write(1, LINE)
    writer.write(2, LINE)
    assert steps(path) == [0]
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  writer.write(3, LINE)
  assert steps(path) == [0, 1, 2, 3]
  assert len(warned(caplog)) == 1


def test_a_damaged_line_is_told_and_costs_no_other(tmp_path, caplog):
  path = tmp_path / "metrics.jsonl"
  whole = [json.dumps({"step": step, "a": 0.5}).encode() for step in range(3)]
  damaged = b'{"step": 1, "\xff": 2}', b'{"st', b"[7]", b'{"a": 1}', b"\x00"
  path.write_bytes(b"\n".join((whole[0], *damaged, *whole[1:])) + b"\n")
  writer = metrics.JsonWriter(path, start=2)
  writer.write(2, LINE)
  assert steps(path) == [0, 1, 2]
  told = [r.message for r in caplog.records if "is dropped" in r.message]
  assert [text.split()[2] for text in told] == ["2", "3", "4", "5", "6"]


@pytest.mark.parametrize("damage", [b"\xff\xfe{}", b'{"steps": ', b"[]", b""])
def test_damaged_settings_are_told_with_what_to_do(tmp_path, damage):
  path = tmp_path / "config.json"
  path.write_bytes(damage)
  with pytest.raises(config.ConfigError, match="restore it, or use another"):
    config.read(path)


def test_event_files_that_cannot_grow_do_not_stop_a_run(tmp_path, caplog):
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  writer = metrics.Patient(metrics.TensorBoardWriter(tmp_path), "events")
  writer.write(0, LINE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
  try:
    for step in range(1, 300):  # More than any queue holds.
      writer.write(step, LINE)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  writer.close()
  assert len(warned(caplog)) == 1


def test_steps_stay_in_order_when_the_clock_jumps_back(patient, monkeypatch):
  path, writer = patient
  events = metrics.TensorBoardWriter(path.parent)
  for step, now in enumerate((1e9, 2e9, 5e8)):
    monkeypatch.setattr(time, "time", lambda now=now: now)
    writer.write(step, LINE)
    events.write(step, LINE)
  assert steps(path) == [0, 1, 2]


PROGRAM = """
import pathlib, sys, tqdm
from absl import flags, logging
from rlvr_jax.training import command

OUT = flags.DEFINE_string("out", None, "file")

def main():
  for number in tqdm.trange(3, mininterval=0):
    print("step", number, flush=True)
    logging.warning("step %d", number)
  pathlib.Path(OUT.value).write_text("all steps")

command.run(main)
"""


@pytest.mark.parametrize(
  "streams", [pytest.param("closed", marks=pytest.mark.long), "unread"]
)
def test_a_program_goes_on_when_nobody_reads_what_it_says(tmp_path, streams):
  out = tmp_path / "out"
  command = [sys.executable, "-c", PROGRAM, f"--out={out}"]
  if streams == "closed":
    command = ["sh", "-c", f"exec {shlex.join(command)} >&- 2>&-"]
  read, write = os.pipe()
  os.close(read)
  process = subprocess.run(command, stdout=write, stderr=write, timeout=120)
  os.close(write)
  assert process.returncode == 0
  assert out.read_text() == "all steps"
