"""The program that shows what is in datasets."""

import json

import pytest
from absl import flags
from absl.testing import flagsaver

import folders
import runs


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


@pytest.mark.parametrize(
  ("given", "told"),
  [
    (dict(data="no.parquet"), "There is no file 'no.parquet'"),
    (dict(columns="prompt=x"), "nothing under 'x'"),
    (dict(columns="prompt"), "--columns=['prompt'] must be field=column"),
    (dict(tokenizer="no/folder"), "no tokenizer folder 'no/folder'"),
  ],
)
def test_a_mistake_ends_the_program_with_one_message(
  given, told, inspect, data
):
  with pytest.raises(SystemExit) as ended:
    inspect(**data | dict(style="none") | given)
  assert str(ended.value).startswith("error: ") and told in str(ended.value)
