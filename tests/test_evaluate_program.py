"""The program: flags, what it refuses, what it writes.

The policy and the problems of most tests are made up; test_evaluate_files.py
runs all of the program.
"""

import json

import pytest
from absl import flags

import exam
import runs
from rlvr_jax.evaluation.records import FILE, read
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import Transformer
from rlvr_jax.training.config import ConfigError

pytestmark = pytest.mark.usefixtures("quick_compile")

FEW = ["--samples=4", "--rows=8", "--max_response=5", "--keep_text=4"]
FEW += ["--temperature=1.2", "--top_p=1", "--mesh_data=8", "--noprogress"]


@pytest.fixture
def program(monkeypatch, tmp_path):
  """Runs a command line on a random policy; `asked` counts its loads."""
  before = set(flags.FLAGS)
  (tmp_path / "model").mkdir()
  (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")

  def load_model(mesh, task):
    run.asked += 1
    model = Transformer(exam.SIZES, Layout(mesh))
    return module.Subject(model, exam.params())

  def run(*argv):
    flags.FLAGS.unparse_flags()
    for name in set(flags.FLAGS) - before:
      flags.FLAGS[name].unparse()
    flags.FLAGS(["evaluate", *argv])
    module.main()

  run.asked = 0
  run.files = [f"--model={tmp_path / 'model'}", "--data=a.parquet"]
  run.files += [f"--out={tmp_path / 'out'}"]
  run.out = tmp_path / "out"
  with runs.program("experiments.evaluate") as module:
    problems = module.Problems(exam.TASK, {})
    monkeypatch.setattr(module, "load_problems", lambda: problems)
    monkeypatch.setattr(module, "load_model", load_model)
    yield run


def message(program, *argv):
  with pytest.raises(ConfigError) as caught:
    program(*argv)
  return str(caught.value)


def test_an_evaluation_writes_its_files_and_goes_on_after_a_kill(
  program, capsys
):
  program(*program.files, *FEW)
  names = {path.name for path in program.out.iterdir()}
  assert names == {
    FILE, "evaluation.html", "figures.json", "summary.md", "figures"
  }  # fmt: skip
  shown = capsys.readouterr().out
  assert "pass@2" in shown and str(program.out / "evaluation.html") in shown
  held, records = read(program.out / FILE)
  assert held["temperature"] == 1.2 and held["data"] == ["a.parquet"]
  assert len(records) == len(exam.PROBLEMS)
  whole = (program.out / FILE).read_bytes()
  (program.out / FILE).write_bytes(whole[: len(whole) // 2])
  program(*program.files, *FEW)
  assert (program.out / FILE).read_bytes() == whole
  # Memory and figures may change; nothing is sampled again.
  program(*program.files, *FEW, "--rows=16", "--ks=3")
  assert (program.out / FILE).read_bytes() == whole
  figures = json.loads((program.out / "figures.json").read_text())
  assert "pass@3" in figures["signs"] and "pass@2" not in figures["signs"]


def test_records_are_shown_without_a_model(program, tmp_path):
  program(*program.files, *FEW)
  program(f"--records={program.out}", "--ks=3", f"--out={tmp_path / 'again'}")
  assert program.asked == 1
  figures = json.loads((tmp_path / "again" / "figures.json").read_text())
  assert "pass@3" in figures["signs"] and "pass@2" not in figures["signs"]
  page = (program.out / "evaluation.html").read_bytes()
  program(f"--records={program.out}")
  assert (program.out / "evaluation.html").read_bytes() == page
  told = message(program, f"--records={program.out}", "--ks=8")
  assert "k = [8] must lie in [1, 4]" in told


def test_other_settings_or_weights_do_not_go_on(program, tmp_path):
  program(*program.files, *FEW)
  told = message(program, *program.files, *FEW, "--temperature=0", "--seed=1")
  assert "temperature = 1.2, this one has 0.0" in told
  assert "seed = 0, this one has 1" in told and "folder" in told
  (tmp_path / "model" / "model.safetensors").write_bytes(b"retrained")
  told = message(program, *program.files, *FEW)
  assert "model_checksum" in told and "temperature" not in told
  assert program.asked == 1  # refused before anything is loaded


def test_everything_that_is_wrong_with_the_flags_is_told_at_once(program):
  told = message(program, "--ks=0,a,2", "--mesh_data=0")
  for name in ("--model is missing", "--data is missing", "--out is missing"):
    assert name in told
  assert "--ks: ['0', 'a'] must be whole numbers" in told
  assert "--mesh_data = 0 must be" in told
  told = message(program, *program.files, "--samples=4", "--ks=8")
  assert "pass@8 needs at least as many --samples, not 4" in told
  told = message(program, *program.files, "--records=x")
  assert "--model asks for samples, --records only shows" in told
  told = message(program, *program.files, "--model=nowhere")
  assert "--model = 'nowhere' is no folder; nothing is downloaded" in told
  assert not program.out.exists()


def test_fewer_rows_than_devices_are_told(program):
  told = message(program, *program.files, *FEW, "--rows=4")
  assert "rows = 4 must be at least 8" in told


@pytest.mark.parametrize(
  "flag, told",
  [
    ("--samples=0", "0"),
    ("--records=nowhere", "does not exist; give the folder"),
  ],
)
def test_a_mistake_ends_the_program_with_one_message(flag, told):
  process = runs.spawn(flag, module="experiments.evaluate")
  out, _ = process.communicate(timeout=120)
  assert process.returncode == 2
  assert told in out and "Traceback" not in out and "configs/" not in out
