"""The measurement of `token_statistics` against its rivals."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from experiments.kernel_bench import problem, reference, rounds, summary

pytestmark = pytest.mark.xdist_group("bench_kernel")  # one run for all

SHAPE = problem.Shape(48, 16, 9000, "float32")
FIGURES = {
  "outputs",
  "note",
  "differences",
  "seconds",
  "median_seconds",
  "ratio_to_full",
  "ratio_to_best_rival",
  "tokens_per_second",
  "share_of_matmul_limit",
  "peak_extra_bytes",
  "share_of_logits",
}


def program(*flags, **environment):
  command = [sys.executable, "-m", "experiments.bench_kernel", *flags]
  path = os.pathsep.join([os.getcwd(), environment.pop("path", "")])
  env = {"XLA_FLAGS": "", "PYTHONPATH": path} | environment
  return subprocess.run(
    command, env=os.environ | env, capture_output=True, text=True
  )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
  folder = tmp_path_factory.mktemp("bench")
  # Whether or not PyTorch is installed, here it is not.
  (folder / "torch.py").write_text("raise ImportError('torch is hidden')")
  sizes = [f"--{k}={x}" for k, x in SHAPE._asdict().items()]
  names = "--contenders=matmul,full,chunked,pallas_tpu,torch"
  done = program(*sizes, names, "--rounds=3", path=str(folder))
  assert not done.returncode, done.stderr
  assert "| chunked" in done.stderr
  return json.loads(done.stdout)


@pytest.mark.long
def test_machine_shape_and_all_figures_are_written(result):
  assert result["rounds"] == 3
  assert result["machine"]["jax"].keys() == {"backend", "device", "jax"}
  assert [r["mode"] for r in result["results"]] == [*problem.MODES]
  for record in result["results"]:
    assert problem.Shape(*(record[k] for k in SHAPE._fields)) == SHAPE
    assert record["contenders"].keys() == {"matmul", "full", "chunked"}
    for figures in record["contenders"].values():
      assert figures.keys() == FIGURES
      assert len(figures["seconds"]) == 3


@pytest.mark.long
def test_contenders_agree_with_the_reference_on_values_and_gradients(result):
  forward, both = result["results"]
  for name in ("full", "chunked"):
    far = forward["contenders"][name]["differences"]
    assert far.keys() == {"logp", "entropy"} and max(far.values()) < 1e-5
    far = both["contenders"][name]["differences"]
    assert far.keys() == {"logp", "entropy", "hidden", "weights"}
    assert max(far.values()) < 1e-5


@pytest.mark.long
def test_one_that_cannot_run_is_listed_with_its_reason(result):
  assert "torch is hidden" in result["machine"]["torch"]["reason"]
  for record in result["results"]:
    assert record["left_out"].keys() == {"pallas_tpu", "torch"}
    assert "backend 'cpu'" in record["left_out"]["pallas_tpu"]
    assert "torch is hidden" in record["left_out"]["torch"]


@pytest.mark.long
def test_full_logits_take_the_memory_that_chunks_do_not(result):
  for record in result["results"]:
    chunked, full = (record["contenders"][n] for n in ("chunked", "full"))
    assert full["share_of_logits"] >= 1
    assert chunked["peak_extra_bytes"] < full["peak_extra_bytes"] / 2


class Stub:
  """A worker in place of a process: it answers as the test says."""

  def __init__(self, framework, python):
    self.framework = framework

  def __enter__(self):
    return self

  def __exit__(self, *_):
    pass

  def ask(self, request, *args):
    if self.framework == "jax" and request == "seconds":
      return dict(reason="its process ended with status -9; see stderr")
    if request == "values":
      name, _, file = args
      exact = reference.values(SHAPE, problem.numbers(SHAPE), ("logp",))
      wrong = dict(torch=0.01, cce=np.nan).get(name, 0)
      np.savez(file, logp=exact["logp"] + wrong)
    return dict(outputs=["logp"], peak_extra_bytes=None, seconds=2.0)


def test_one_that_is_wrong_or_dies_leaves_and_the_others_go_on(monkeypatch):
  monkeypatch.setattr(rounds, "Worker", Stub)
  names = ["full", "torch", "cce", "liger"]
  pythons = dict(jax="", torch="")
  for record in rounds.measure(SHAPE, "cpu", pythons, names, 2):
    assert record["contenders"].keys() == {"liger"}
    assert record["contenders"]["liger"]["seconds"] == [2.0, 2.0]
    assert record["best_rival"] == "liger"
    reasons = record["left_out"]
    assert "status -9" in reasons["full"]
    assert "logp" in reasons["torch"] and "above 0.001" in reasons["torch"]
    assert "nan" in reasons["cce"]


def test_ratios_are_medians_over_rounds_and_the_limit_counts_products():
  seconds = dict(
    matmul=[1.0, 1.0, 2.0],
    full=[10.0, 20.0, 40.0],
    chunked=[5.0, 20.0, 10.0],
    liger=[4.0, 5.0, 20.0],
    cce_filtered=[1.0, 1.0, 1.0],
  )
  told = {name: dict(peak_extra_bytes=SHAPE.tokens * 4) for name in seconds}
  record = summary.record(SHAPE, "forward_backward", told, seconds)
  assert record["best_rival"] == "liger"
  ours, product = (record["contenders"][n] for n in ("chunked", "matmul"))
  assert ours["ratio_to_full"] == 0.5 and ours["ratio_to_best_rival"] == 1.25
  assert ours["tokens_per_second"] == 4.8
  assert ours["share_of_matmul_limit"] == pytest.approx(3 * 0.2)
  assert product["share_of_matmul_limit"] == 1
  assert ours["share_of_logits"] == pytest.approx(1 / SHAPE.vocabulary)


@pytest.mark.parametrize(
  "flag, told",
  {
    "--contenders=fool": "'fool'; choose from ['matmul', 'full'",
    "--tokens=0": "'0' must be a whole number >= 1",
    "--torch_python=/no/python": "'/no/python' is no program",
  }.items(),
)
def test_a_wrong_flag_is_named_with_what_is_allowed(flag, told):
  done = program(flag)
  assert done.returncode == 1
  assert done.stderr.startswith("error: --") and told in done.stderr
