"""A model that reads solutions: its curves, and the program around it."""

import functools
import json

import jax
import numpy as np
import pytest
from absl import flags
from PIL import Image

import exam
import runs
from rlvr_jax import tasks
from rlvr_jax.evaluation import utility
from rlvr_jax.evaluation.records import FILE, Log, Record
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import Transformer
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.training.config import ConfigError
from rlvr_jax.training.inspector import Curves, Inspector, Solution
from toy_files import Words, parquet, verl

pytestmark = pytest.mark.usefixtures("quick_compile")

TOKENIZER = exam.TASK.tokenizer
BRIDGE = "=+="
# The longest has 5 beginnings; widths and answers differ.
SOLUTIONS = [
  Solution("12=", ["3", "+4", "+5", "+6"], "78"),
  Solution("9=", ["12+34+56+78+90+12+34+56+78+90"], "1"),
  Solution("345=", ["1", "2"], "+"),
]


@functools.cache
def inspector(devices=1, rows=4):
  mesh = make_mesh(devices=jax.devices()[:devices])
  model = Transformer(exam.SIZES, Layout(mesh))
  return Inspector(model, TOKENIZER, mesh, rows, BRIDGE)


@functools.cache
def curves(devices=1, rows=4):
  return inspector(devices, rows).curves(exam.params(), SOLUTIONS)


def read_plainly():
  """Both entropies by a pass over whole texts, without padding before them."""
  texts = [
    (s.prompt + "".join(s.steps[:k]) + BRIDGE, s.answer)
    for s in SOLUTIONS
    for k in range(len(s.steps) + 1)
  ]
  ids = [TOKENIZER.encode(before + answer) for before, answer in texts]
  tokens = np.zeros((len(ids), max(map(len, ids))), np.int32)
  for row, its in enumerate(ids):
    tokens[row, : len(its)] = its
  module = Transformer(exam.SIZES).module(exam.params())
  logits = jax.jit(lambda t: module.logits(module.full(t, t >= 0)[0]))(tokens)
  found = []
  for row, its, (_, answer) in zip(np.asarray(logits, np.float64), ids, texts):
    places = np.arange(len(its) - len(answer), len(its))
    z = row[places - 1]
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    entropy = -(np.exp(logp) * logp).sum(axis=1)
    own = logp[range(len(places)), np.array(its)[places]]
    found.append((entropy.mean(), -own.mean()))
  return np.array(found)


def test_curves_are_those_of_the_texts_read_one_by_one():
  found = curves()
  assert [len(c.entropy) for c in found] == [5, 2, 3]
  together = np.concatenate([np.stack(c, axis=1) for c in found])
  np.testing.assert_allclose(together, read_plainly(), atol=2e-5)
  assert np.ptp(together[:, 0]) > 1e-3  # what is read matters


@pytest.mark.long
def test_curves_do_not_depend_on_rows_and_devices():
  for devices, rows in ((1, 3), (4, 8)):
    for one, other in zip(curves(), curves(devices, rows)):
      np.testing.assert_allclose(one, other, atol=2e-5)


def test_what_cannot_be_read_is_refused():
  with pytest.raises(ValueError, match="'' to '12=' has no token"):
    inspector().curves(exam.params(), [Solution("12=", ["3"], "")])
  with pytest.raises(ValueError, match="rows = 0 must be at least 1"):
    inspector(rows=0)


# From the records of an evaluation to figures.


def record(id, right, texts, reference="4", source="a"):
  n = len(right)
  return Record(
    source, id, f"{id}?", reference, ["4"] * n, right, [9] * n, [False] * n,
    [0.5] * n, texts,
  )  # fmt: skip


RECORDS = [
  record("1", [True, False, None], ["a\n\nb", "a. b.", "c"]),
  record("2", [True, True, True], ["a\n\nb\n\nc", " "]),
  record("3", [False] * 3, ["a"], reference=""),
  record("4", [False] * 3, ["a\nb"] * 2, source="b"),
]


def found(samples):
  """Right solutions make the entropy fall, wrong ones do not."""
  for s in samples:
    share = np.linspace(0, 1, len(s.steps) + 1)
    yield utility.curve(s, 2 - s.right * share, 1 + 0 * share)


def test_samples_without_text_verdict_or_reference_are_left_out():
  chosen = list(utility.samples(RECORDS))
  assert [(s.record.id, s.number, s.right, len(s.steps)) for s in chosen] == [
    ("1", 0, True, 2), ("1", 1, False, 2), ("2", 0, True, 3),
    ("4", 0, False, 2), ("4", 1, False, 2),
  ]  # fmt: skip


def test_right_and_wrong_solutions_have_curves_of_their_own():
  curves = list(found(utility.samples(RECORDS)))
  bands = utility.bands(curves)
  assert {k: [*v] for k, v in bands.items()} == {
    "a": ["right", "wrong"], "b": ["wrong"]
  }  # fmt: skip
  falls = np.linspace(2, 1, 20)
  # A line of the file has 5 digits.
  np.testing.assert_allclose(bands["a"]["right"].mean, falls, atol=1e-5)
  np.testing.assert_allclose(bands["b"]["wrong"].mean, 2)
  rows = utility.rows(curves)
  assert [row["solutions"] for row in rows] == ["2 right", "1 wrong", "2 wrong"]
  assert rows[0]["fall"] == "1.000" and rows[0]["slope"] == "-1.000"
  assert rows[1]["fall"] == "0.000" and rows[0]["steps"] == "2.5"
  told = utility.separations(curves)
  assert told == {"entropy": 1.0, "cross_entropy": 0.5}


@pytest.fixture
def program(tmp_path):
  """Runs a command line; `module` is the program."""
  before = set(flags.FLAGS)

  def run(*argv):
    flags.FLAGS.unparse_flags()
    for name in set(flags.FLAGS) - before:
      flags.FLAGS[name].unparse()
    out = f"--out={tmp_path / 'out'}"
    flags.FLAGS(["utility", f"--records={tmp_path}", out, *argv])
    run.module.main()

  with runs.program("experiments.utility") as run.module:
    yield run


def write(folder, records):
  log = Log(folder / FILE, {"system": "Think.", "instruction": "Box it."})
  for each in records:
    log.append(each)
  log.close()


def test_the_program_writes_curves_a_table_and_pictures(
  program, tmp_path, monkeypatch, capsys
):
  asked = []

  class Chat(Words):
    def render(self, messages, *, system, **options):
      asked.append((system, messages[0]["content"], options["template"]))
      return super().render(messages)

  def inspect(solutions, tokenizer):
    assert solutions[0] == Solution("1?\n\nBox it.", ["a", "\n\nb"], "4")
    return [
      Curves(*2 * [np.linspace(1, 0, len(s.steps) + 1)]) for s in solutions
    ]

  monkeypatch.setattr(program.module.tasks, "HFTokenizer", lambda _: Chat())
  monkeypatch.setattr(program.module, "inspect", inspect)
  write(tmp_path, RECORDS)
  program("--model=m", "--template=plain")
  assert asked[0] == ("Think.", "1?\n\nBox it.", "plain")
  out = tmp_path / "out"
  lines = [
    json.loads(x) for x in (out / "curves.jsonl").read_text().splitlines()
  ]
  assert lines[2] == dict(
    source="a", id="2", sample=0, right=True,
    entropy=[1, 0.66667, 0.33333, 0], cross_entropy=[1, 0.66667, 0.33333, 0],
  )  # fmt: skip
  assert (out / "utility.md").read_text().strip() in capsys.readouterr().out
  for name in ("entropy.png", "cross_entropy.png"):
    assert Image.open(out / name).size[0] > 500
  (tmp_path / FILE).unlink()
  write(tmp_path, [record("1", [True], [])])
  with pytest.raises(ConfigError, match="--keep_text"):
    program("--model=m")


@pytest.mark.long
def test_an_evaluation_is_inspected_as_a_user_does_it(program, tmp_path):
  from configs import laptop

  model = laptop.model("qwen2")
  rows = [verl(f"What is {i} + 1?", str(i + 1), i) for i in range(3)]
  data = parquet(tmp_path / "toy.parquet", rows)
  process = runs.spawn(
    f"--model={model}", f"--data={data}", f"--out={tmp_path}", "--samples=2",
    "--keep_text=2", "--max_response=40", "--noprogress",
    "--style=math_lenient", module="experiments.evaluate",
  )  # fmt: skip
  out, _ = process.communicate(timeout=600)
  assert process.returncode == 0, out
  program(f"--model={model}", "--dtype=float32", "--mesh_data=8")
  lines = (tmp_path / "out" / "curves.jsonl").read_text().splitlines()
  assert len(lines) == 6
  most = np.log(tasks.HFTokenizer(model).vocab_size + 64)
  for line in map(json.loads, lines):
    assert all(0 <= h <= most for h in line["entropy"])
