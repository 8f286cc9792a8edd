"""The program that shows what is in datasets."""

import collections
import json

import pytest
from absl import flags
from absl.testing import flagsaver

import folders
import runs
from rlvr_jax import tasks
from toy_files import jsonl


@pytest.fixture
def inspect(capsys):
  """Runs the program and returns what it prints."""

  def run(**given):
    with flagsaver.flagsaver():
      flags.FLAGS(["inspect_data", *(f"--{k}={v}" for k, v in given.items())])
      program.main(["inspect_data"])
    return capsys.readouterr().out

  with runs.program("experiments.inspect_data") as program:
    yield run


@pytest.fixture
def data(tmp_path):
  """Sums with what public files are full of, and a file to measure on."""
  ask = lambda i: f"What is {i} plus {i}?"
  rows = [dict(q=ask(i), a=str(2 * i), of="sums") for i in range(1, 7)]
  rows += [rows[0], rows[1] | dict(a="5"), dict(q=" ", a="1", of="sums")]
  rows += [dict(q="Is 2 even?", a="9" * 5000, of="facts")]
  rows += [dict(q="Is 4 even?", a="1", of="facts")]
  held_out = [dict(q=ask(6), a="12", of="held out")]
  for name, lines in (("data", rows), ("against", held_out)):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / f"{name}.jsonl").write_text(text)
  return dict(
    data=tmp_path / "data.jsonl",
    against=tmp_path / "against.jsonl",
    columns="prompt=q,answer=a,source=of",
  )


def cells(out):
  """The rows of the tables, without blanks."""
  lines = [line for line in out.splitlines() if line.startswith("| ")]
  return [[cell.strip() for cell in x.split("|")[1:-1]] for x in lines]


def test_the_tables_count_what_is_there_and_what_is_dropped(inspect, data):
  pytest.importorskip("math_verify")
  found = cells(inspect(**data))
  assert ["sums", "9", "7", "5"] in found
  assert ["facts", "2", "2", "1"] in found
  for row in (
    ["sums", "repeats an earlier prompt", "1"],
    ["sums", "repeats an earlier prompt with another answer", "1"],
    ["sums", "prompt without text", "1"],
    ["sums", "is in the evaluation", "1"],
    ["facts", "reference answer cannot be parsed", "1"],
  ):
    assert row in found
  # "What is 1 plus 1?" and the like.
  assert ["sums", "characters", "17", "17", "17", "17"] in found


def test_without_a_style_all_reference_answers_are_taken(inspect, data):
  assert ["facts", "2", "2", "2"] in cells(inspect(style="none", **data))


def test_examples_are_shown_as_the_model_reads_them(inspect, data, tmp_path):
  tokenizer = folders.chatml(tmp_path / "model")
  options = dict(tokenizer=tokenizer, instruction="Box it.", system="Add.")
  out = inspect(style="none", examples=1, **options, **data)
  prompt = (
    "--- sums 0, answer '2':\n"
    "<|im_start|>system\nAdd.<|im_end|>\n"
    "<|im_start|>user\nWhat is 1 plus 1?\n\nBox it.<|im_end|>\n"
    "<|im_start|>assistant\n"
  )
  assert prompt in out and "--- sums 1" not in out
  assert any(row[:2] == ["sums", "tokens"] for row in cells(out))
  plain = inspect(style="none", examples=1, system="Add.", **data)
  assert "--- sums 0, answer '2':\nAdd.\n\nWhat is 1 plus 1?\n" in plain


def test_a_dropped_row_is_shown_with_its_place(inspect, data):
  out = inspect(style="none", **data)
  place = f"{data['data']}, line 8: '5', but '4' in {data['data']}, line 2"
  assert f"with another answer:\n{place}" in out


@pytest.fixture
def shared(tmp_path):
  """Files that share questions; some that no run would take."""

  def write(of, *numbers, answer="1"):
    rows = [
      dict(prompt=f"What is {i} plus {i}?", answer=answer, of=of)
      for i in numbers
    ]
    return rows, tmp_path / f"{of}.jsonl"

  bad, _ = write("five", 5, answer="9" * 5000)
  good, five = write("five", 8)
  train = [write("one", 0, 1, 2, 3, 4, 5, 10**30), write("two", 2, 3, 6)]
  evaluation = [write("three", 4, 7, 7), write("four", 7), (bad + good, five)]
  return dict(
    train=[jsonl(path, rows) for rows, path in train],
    evaluation=[jsonl(path, rows) for rows, path in evaluation],
  )


def test_the_program_counts_what_a_run_would_keep(inspect, shared, tmp_path):
  pytest.importorskip("math_verify")
  folder = folders.chatml(tmp_path / "model")
  task = tasks.load(
    "files",
    tokenizer=tasks.HFTokenizer(folder),
    columns=dict(answer="answer", source="of"),
    unparsable="drop",
    max_prompt=60,
    **shared,
  )
  out = inspect(
    data=",".join(shared["train"]),
    against=",".join(shared["evaluation"]),
    columns="answer=answer,source=of",
    tokenizer=folder,
    max_prompt=60,
  )
  problems = (*task.train, *task.evaluation)
  kept = collections.Counter(problem.source for problem in problems)
  assert kept == dict(one=5, two=1, three=2, four=1, five=1)
  found = cells(out)
  counts = [row for row in found if row[0] in kept and len(row) == 4]
  assert {source: int(count) for source, _, _, count in counts} == kept
  for row in (
    ["one", "is in the evaluation", "1"],
    ["one", "prompt too long", "1"],
    ["two", "repeats an earlier prompt", "2"],
    ["three", "repeats an earlier prompt", "1"],
    ["five", "reference answer cannot be parsed", "1"],
  ):
    assert row in found


def test_a_model_can_be_shown_with_thinking_turned_off(inspect, data, tmp_path):
  tokenizer = folders.chatml(tmp_path / "model")
  given = dict(style="none", examples=1, tokenizer=tokenizer, **data)
  shut = "<|im_start|>assistant\n<think>\n\n</think>"
  assert shut not in inspect(**given)
  assert shut in inspect(thinking="false", **given)


@pytest.mark.parametrize(
  ("given", "told"),
  [
    (dict(data="no.parquet"), "There is no file 'no.parquet'"),
    (dict(columns="prompt=x"), "nothing under 'x'"),
    (dict(columns="prompt"), "--columns=['prompt'] must be field=column"),
    (dict(max_prompt=9), "--max_prompt=9 is in tokens; name a --tokenizer"),
    (dict(tokenizer="no/folder"), "no tokenizer folder 'no/folder'"),
  ],
)
def test_a_mistake_ends_the_program_with_one_message(
  given, told, inspect, data
):
  with pytest.raises(SystemExit) as ended:
    inspect(**data | dict(style="none") | given)
  assert str(ended.value).startswith("error: ") and told in str(ended.value)
