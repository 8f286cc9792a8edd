"""The program on a model's folder and files of problems, as a user runs it."""

import json

import pytest
from absl import flags

import runs
from configs import laptop
from rlvr_jax.evaluation.records import FILE, Log, read
from rlvr_jax.training.config import ConfigError
from toy_files import parquet, verl

pytestmark = pytest.mark.usefixtures("quick_compile")

FEW = ["--samples=2", "--rows=8", "--max_response=4", "--style=math_lenient"]
FEW += ["--mesh_data=8", "--noprogress"]
UNREADABLE = "x" * 600  # too large to be looked at


def sums(source, count):
  return [
    verl(f"What is {i} + 1?", str(i + 1), i, source) for i in range(count)
  ]


@pytest.fixture
def program(tmp_path):
  """Runs a command line on files, with a model that is on every laptop."""
  before = set(flags.FLAGS)

  def run(*argv):
    flags.FLAGS.unparse_flags()
    for name in set(flags.FLAGS) - before:
      flags.FLAGS[name].unparse()
    flags.FLAGS(["evaluate", f"--model={laptop.model('qwen2')}", *FEW, *argv])
    module.main()

  with runs.program("experiments.evaluate") as module:
    yield run


def message(program, *argv):
  with pytest.raises(ConfigError) as caught:
    program(*argv)
  return str(caught.value)


def dying(monkeypatch, after):
  """Makes the evaluation die when so many problems are written."""
  append, left = Log.append, iter(range(after))

  def append_or_die(log, record):
    if next(left, None) is None:
      raise KeyboardInterrupt
    append(log, record)

  monkeypatch.setattr(Log, "append", append_or_die)


def test_a_model_is_evaluated_on_files_whether_or_not_it_is_stopped(
  program, tmp_path, monkeypatch, capsys
):
  extra = verl("What is the angle?", UNREADABLE, 9, "second")
  first = parquet(tmp_path / "first.parquet", sums("first", 5))
  second = [*sums("second", 3), *sums("second", 1), extra]
  second = parquet(tmp_path / "second.parquet", second)
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  data = [f"--data={first},{second}"]
  told = message(program, *data, f"--out={whole}")
  assert "xxx cannot be parsed" in told and "drop" in told
  data += ["--unparsable=drop"]
  program(*data, f"--out={whole}")
  with monkeypatch.context() as patch:
    dying(patch, after=2)
    with pytest.raises(KeyboardInterrupt):
      program(*data, f"--out={parts}")
  assert len(read(parts / FILE)[1]) == 2
  program(*data, f"--out={parts}")
  assert (parts / FILE).read_bytes() == (whole / FILE).read_bytes()
  header, records = read(parts / FILE)
  # What every place says of the rows that were read.
  assert {r.name: r.reference for r in records} == {
    f"{source}/{i}": str(i + 1)
    for source, count in (("first", 5), ("second", 3))
    for i in range(count)
  }
  of_second = {
    "read": 5,
    "kept": 3,
    "dropped": {
      "repeats an earlier prompt": 1,
      "reference answer cannot be parsed": 1,
    },
  }
  assert header["data_rows"]["second"] == of_second
  assert header["data_rows"]["first"] == {"read": 5, "kept": 5, "dropped": {}}
  numbers = json.loads((parts / "figures.json").read_text())
  assert numbers["second"]["rows"] == of_second
  for name in ("summary.md", "evaluation.html"):
    text = (parts / name).read_text()
    assert "1 of 4 problems are not asked, and in no figure: 1 × refe" in text
    assert "3 of 4" in text and "8 of 9" in text
  assert (parts / "summary.md").read_text() in capsys.readouterr().out


def test_an_evaluation_does_not_go_on_with_other_problems(program, tmp_path):
  path, out = tmp_path / "toy.parquet", f"--out={tmp_path / 'out'}"
  program(f"--data={parquet(path, sums('toy', 2))}", out)
  before = (tmp_path / "out" / FILE).read_bytes()
  rows = sums("toy", 3)
  changed = {
    "one more": rows,
    "another order": rows[1::-1],
    "another reference": [rows[0], verl("What is 1 + 1?", "3", 1, "toy")],
    "another question": [rows[0], verl("What is 1 + 2?", "2", 1, "toy")],
    "another id": [rows[0], verl("What is 1 + 1?", "2", 7, "toy")],
  }
  for change, found in changed.items():
    told = message(program, f"--data={parquet(path, found)}", out)
    assert "problems_checksum = " in told, change
    assert "Use another folder, or the old values and files" in told
    assert ("'read': 2" in told and "'read': 3" in told) == (len(found) == 3)
  assert (tmp_path / "out" / FILE).read_bytes() == before
  program(f"--data={parquet(path, rows[:2])}", out)
  assert (tmp_path / "out" / FILE).read_bytes() == before


def test_a_data_set_called_like_a_row_of_the_table_is_refused(
  program, tmp_path
):
  data = parquet(tmp_path / "toy.parquet", sums("all problems", 2))
  told = message(program, f"--data={data}", f"--out={tmp_path / 'out'}")
  assert "a data set is called 'all problems', as a row over several" in told
  assert "--columns=source=COLUMN" in told
