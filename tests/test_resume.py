"""A run killed with SIGKILL and started again equals one left in peace."""

import contextlib
import json
import os
import random
import signal
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import runs

STEPS = 10
DEADLINE = 240  # seconds for one run


def flags(folder, data_dir, method):
  return (
    f"--config=configs/quickstart.py:tiny,method={method}",
    f"--workdir={folder}",
    f"--config.task.data_dir={data_dir}",
    f"--config.steps={STEPS}",
    "--config.checkpoint.every=3",
    "--config.model.layers=2",
    "--config.model.width=16",
    "--config.progress=False",
    # Rewards that come with random weights: the run then really learns.
    "--config.warm_start.steps=60",
  )


def finish(*command):
  process = runs.spawn(*command)
  out, _ = process.communicate(timeout=DEADLINE)
  assert process.returncode == 0, out


def written(folder):
  path = folder / "metrics.jsonl"
  return path.read_text().count("\n") if path.exists() else 0


def kill_after(lines, delay, folder, *command):
  """SIGKILLs the run `delay` seconds after it has written so many lines."""
  process = runs.spawn(*command)
  end = time.monotonic() + DEADLINE
  while written(folder) < lines and process.poll() is None:
    assert time.monotonic() < end
    time.sleep(0.01)
  time.sleep(delay)
  with contextlib.suppress(ProcessLookupError):  # it had ended just before
    os.killpg(process.pid, signal.SIGKILL)
  process.communicate()


def metrics(folder):
  """All lines without what depends on the clock."""
  timed = lambda name: name.startswith("time/") or "per_second" in name
  rows = [json.loads(x) for x in (folder / "metrics.jsonl").open()]
  return [{k: v for k, v in row.items() if not timed(k)} for row in rows]


def final_state(folder):
  manager = ocp.CheckpointManager(os.path.abspath(folder / "checkpoints"))
  state = manager.restore(STEPS, args=ocp.args.StandardRestore())
  manager.close()
  return state


def assert_same(one, other):
  assert metrics(one) == metrics(other)
  a, b = final_state(one), final_state(other)
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  programs = os.fspath(tmp_path_factory.mktemp("programs"))
  with pytest.MonkeyPatch.context() as patch:
    # The processes share what one of them has compiled.
    patch.setenv("JAX_COMPILATION_CACHE_DIR", programs)
    patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    yield tmp_path_factory.mktemp("data")


def test_a_run_killed_at_a_random_moment_ends_the_same(tmp_path, data_dir):
  peace, war = tmp_path / "peace", tmp_path / "war"
  finish(*flags(peace, data_dir, "aepo"))
  dice = random.Random(int(time.time()))
  lines, delay = dice.randrange(1, STEPS), dice.random() * 0.1
  print(f"killed {delay:.3f} s after line {lines}")
  command = flags(war, data_dir, "aepo")
  kill_after(lines, delay, war, *command)
  finish(*command)
  assert len(metrics(war)) == STEPS
  assert_same(peace, war)


@pytest.mark.long
@pytest.mark.parametrize(
  "method", ["entropy_bonus", "aepo", "clip_cov", "prime"]
)
def test_a_run_killed_again_and_again_ends_the_same(tmp_path, data_dir, method):
  peace, war = tmp_path / "peace", tmp_path / "war"
  finish(*flags(peace, data_dir, method))
  command = flags(war, data_dir, method)
  dice = random.Random(0)
  for lines in (0, 1, 2, 3, 5, 6, 9):  # 0 is inside the warm start
    kill_after(lines, dice.random() * 0.2, war, *command)
  finish(*command)
  assert_same(peace, war)
