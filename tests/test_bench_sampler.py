"""Benches time what they say, and speak their protocol."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.side_by_side import limits, own, problem, step

NANO, SMOKE = problem.SIZES["nano"], problem.SHAPES["smoke"]


def asked(module, *arguments, lines=""):
  """What a program prints to stdout."""
  command = [sys.executable, "-m", f"experiments.{module}", *arguments]
  given = dict(input=lines, capture_output=True, text=True, timeout=300)
  done = subprocess.run(command, **given)
  assert not done.returncode, done.stderr
  return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("task", ["sampler", "step"])
def test_a_worker_answers_every_line_with_seconds_and_tokens(task):
  how = "--config=nano", "--shape=smoke", "--variant=ragged", f"--task={task}"
  said = asked("bench_worker", *how, lines="go\ngo\nquit\n")
  ready, *units = map(json.loads, said.splitlines())
  assert ready["ready"] and ready["name"] == "rlvr_jax:ragged"
  tokens = int(problem.ragged_lengths(SMOKE).sum())
  assert [unit["tokens"] for unit in units] == [tokens] * 2
  assert all(min(unit["t"], unit["t_peak_rss_gb"]) > 0 for unit in units)


@pytest.mark.long
def test_the_table_holds_every_decoder_length_and_type(tmp_path):
  out = tmp_path / "bench.json"
  how = "--sizes=nano", "--shape=smoke", "--rounds=2", f"--out={out}"
  table = asked("bench_sampler", *how).splitlines()
  lines = json.loads(out.read_text())["lines"]
  kinds = [(line["lengths"], line["dtype"]) for line in lines]
  dtypes = "float32", "bfloat16"
  assert kinds == [(n, d) for n in ("equal", "ragged") for d in dtypes]
  assert len(table) == 2 + len(lines)
  assert all(0 < line["products"] < 1 for line in lines)


def test_one_rollout_of_the_bench_samples_every_token_asked_for():
  unit = own.unit(NANO, SMOKE, False, "float32")
  assert unit() == SMOKE.rows * SMOKE.new


@pytest.mark.long
@pytest.mark.parametrize("ragged", [False, True])
def test_a_step_of_the_bench_moves_the_weights(ragged):
  one = step.unit(NANO, SMOKE, ragged, "float32")
  before = jax.device_get(one._state.params)
  tokens = problem.ragged_lengths(SMOKE).sum() if ragged else 8 * SMOKE.new
  assert [one(), one()] == [tokens] * 2
  after = jax.device_get(one._state)
  assert after.step == 2 and not after.guard.refused
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, after.params)
  # Adam moves every weight that has a gradient by about the rate.
  assert max(jax.tree.leaves(moved)) == pytest.approx(2e-6, rel=0.3)


def test_a_reward_is_the_share_of_even_words():
  found = problem.rewards(["t2 t3 t4 t10", "t1", ""])
  assert found == [0.75, 0, 0]


def test_work_is_counted_token_by_token():
  prompts = problem.prompts(NANO, SMOKE, SMOKE.prompts)
  flops = numbers = 0
  for prompt in prompts:
    for _ in range(SMOKE.group):
      for n in range(SMOKE.new):
        seen = len(prompt) + n
        scores = 2 * NANO.layers * NANO.heads * NANO.head_dim * seen
        flops += 2 * (NANO.matrices + scores)
        numbers += 2 * NANO.layers * NANO.kv_heads * NANO.head_dim * seen
  numbers += SMOKE.new * NANO.matrices  # All rows take a token together.
  found = limits.of(NANO, SMOKE, False, "float32")
  np.testing.assert_allclose(found, (flops, 4 * numbers), rtol=1e-6)
