"""Rows of datasets: what is read, and what is told when it cannot be."""

import json
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tensorflow_datasets.core import read_only_builder

from rlvr_jax import tasks
from rlvr_jax.tasks import sources
from toy_files import COLUMNS, jsonl, message_of, parquet, unchecked, verl


def read(spec, **options):
  return list(sources.read(str(spec), **options))


def test_a_row_of_verl_s_layout_is_read_whole(tmp_path):
  path = parquet(tmp_path / "a.parquet", [verl("2 + 2?", "4", 7)])
  (row,) = read(path)
  assert row.messages == (dict(role="user", content="2 + 2?"),)
  assert (row.answer, row.source, row.id) == ("4", "toy", "7")
  assert row.place == f"{path}, row 0" and row.question == "2 + 2?"


def test_the_quirks_of_public_files_are_read(tmp_path):
  number = [verl(f"{i}?", "1", i, __index_level_0__=3) for i in range(6)]
  text = [verl("a?", "1", "9a9b-41")]
  rows = read(parquet(tmp_path / "a.parquet", number))
  rows += read(parquet(tmp_path / "b.parquet", text))
  assert [row.id for row in rows] == [*"012345", "9a9b-41"]


def test_names_and_ids_that_a_file_lacks_are_those_of_file_and_row(tmp_path):
  rows = [dict(question="1?", answer=1), dict(question="2?", answer=2.5)]
  found = read(jsonl(tmp_path / "sums.jsonl", rows), columns=COLUMNS)
  told = [(row.source, row.id, row.answer) for row in found]
  assert told == [("sums", "0", "1"), ("sums", "1", "2.5")]
  # Those that are asked for must be there.
  asked = COLUMNS | dict(id="uuid")
  with pytest.raises(ValueError, match="line 1: nothing under 'uuid'; it has"):
    read(tmp_path / "sums.jsonl", columns=asked)


def test_columns_are_found_in_nested_fields_and_by_the_first_that_is_there(
  tmp_path,
):
  rows = [
    {"problem": "1?", "info": {"gold": {"value": "1"}}},
    {"question": "2?", "problem": None, "a.b": "2"},
  ]
  columns = dict(prompt="problem|question", answer="info.gold.value|a.b")
  found = read(jsonl(tmp_path / "a.jsonl", rows), columns=columns)
  told = [(row.question, row.answer) for row in found]
  assert told == [("1?", "1"), ("2?", "2")]


def test_parquet_is_read_in_batches_and_in_order(tmp_path):
  rows = [verl(f"{i}?", "1", i) for i in range(3000)]
  path = parquet(tmp_path / "a.parquet", rows, row_group_size=700)
  assert [row.id for row in read(path)] == [str(i) for i in range(3000)]


def test_lines_without_text_and_unicode_of_any_kind_are_read(tmp_path):
  path = tmp_path / "a.jsonl"
  # A mark at the beginning, an empty line, a line separator inside a text.
  lines = ['{"question": "Für\u2028π?", "answer": "1"}', "", "  "]
  path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
  assert [row.question for row in read(path, columns=COLUMNS)] == [
    "Für\u2028π?"
  ]


def test_a_dataset_of_tfds_is_read_without_its_code(tmp_path):
  made = tasks.load("split", data_dir=tmp_path, largest=20)
  spec = "tfds:rlvr_split/largest20_seed0:1.0.0/train"
  columns = dict(prompt="prompt", answer="prompt")
  found = read(spec, columns=columns, data_dir=str(tmp_path))
  assert [row.question for row in found] == [p.prompt for p in made.train]
  assert {row.source for row in found} == {"rlvr_split"}
  for wrong in ("tfds:rlvr_split/largest20_seed0:1.0.0/test", "tfds:none/x"):
    with pytest.raises(ValueError, match=f"{wrong}.*cannot be read"):
      read(wrong, data_dir=str(tmp_path))


def test_bytes_of_tfds_that_are_no_text_are_told_where_text_is_wanted(
  monkeypatch,
):
  row = dict(question=b"one?", answer=b"1", picture=b"\xff\xd8")
  builder = types.SimpleNamespace(name="toy")
  builder.as_data_source = lambda split: [row, row | dict(answer=b"\xff")]
  made = lambda name, data_dir: builder
  monkeypatch.setattr(read_only_builder, "builder_from_files", made)
  found = sources.read("tfds:toy:1.0.0/train", columns=COLUMNS)
  assert next(found).answer == "1"
  told = message_of(lambda: next(found))
  assert told.startswith("tfds:toy:1.0.0/train, row 1: the answer b'\\xff'")


def test_questions_of_reasoning_gym_are_read():
  pytest.importorskip("reasoning_gym")
  found = read("gym:chain_sum:5", seed=3)
  assert [row.id for row in found] == [*"01234"]
  assert {row.source for row in found} == {"chain_sum"}
  assert found[0].answer.lstrip("-").isdecimal()
  assert found == read("gym:chain_sum:5", seed=3)
  assert found != read("gym:chain_sum:5", seed=4)


# Files that cannot be read.


def test_a_missing_file_is_named(tmp_path):
  told = message_of(lambda: read(tmp_path / "no.parquet"))
  assert "There is no file" in told and "no.parquet" in told


@pytest.mark.parametrize(
  "spec", ["a.csv", "folder", "tfds:", "tfds:a", "gym:", "gym:a:0", "gym:a:x"]
)
def test_what_is_no_dataset_tells_what_would_be(spec):
  told = message_of(lambda: read(spec))
  assert repr(spec) in told and ".parquet or .jsonl" in told


@pytest.mark.parametrize("part", [0, 0.5, 0.95])
def test_a_truncated_parquet_file_is_told(part, tmp_path):
  rows = [verl(f"{i} plus {i * i}?", "1", i) for i in range(500)]
  path = parquet(tmp_path / "a.parquet", rows)
  content = (tmp_path / "a.parquet").read_bytes()
  (tmp_path / "a.parquet").write_bytes(content[: int(part * len(content))])
  told = message_of(lambda: read(path))
  assert path in told and "get the file anew" in told


def test_a_damaged_page_of_a_parquet_file_is_told_or_read_right(tmp_path):
  rows = [verl(f"{i} plus {i * i}?", "1", i) for i in range(500)]
  path = parquet(tmp_path / "a.parquet", rows, compression="gzip")
  content = bytearray((tmp_path / "a.parquet").read_bytes())
  content[200:260] = bytes(60)
  (tmp_path / "a.parquet").write_bytes(content)
  assert "get the file anew" in message_of(lambda: read(path))


def table(path, **columns):
  pq.write_table(pa.table(columns), path)
  return str(path)


def test_a_column_that_is_not_utf_8_is_told_with_its_row(tmp_path):
  good = [b"1?"] * 1500  # More than are in memory at once.
  text = unchecked(*good, b"\xff?", b"2?")
  answer = pa.array(["1"] * 1502)
  path = table(tmp_path / "a.parquet", question=text, answer=answer)
  rows = sources.read(path, columns=COLUMNS)
  told = message_of(lambda: list(rows))
  assert told.startswith(f"{path}, row 1500: 'question' is not UTF-8")
  assert "anew" in told and "cut short" not in told
  gold = pa.StructArray.from_arrays([unchecked(b"1", b"\xff")], ["gold"])
  two = pa.array(["1?", "2?"])
  path = table(tmp_path / "b.parquet", question=two, answer=gold)
  columns = COLUMNS | dict(answer="answer.gold")
  told = message_of(lambda: read(path, columns=columns))
  assert f"{path}, row 1: 'answer.gold' is not UTF-8" in told


def test_a_date_that_is_out_of_range_is_told_with_its_row(tmp_path):
  dates = pa.array([0, 2**62], pa.timestamp("us"))
  two = pa.array(["1?", "2?"])
  path = table(tmp_path / "a.parquet", question=two, answer=two, when=dates)
  columns = COLUMNS | dict(id="when")
  told = message_of(lambda: read(path, columns=columns | dict(answer="when")))
  assert f"{path}, row 0: the answer" in told
  dates = pa.array([None, 2**62], pa.timestamp("us"))
  path = table(tmp_path / "b.parquet", question=two, answer=two, when=dates)
  told = message_of(
    lambda: read(path, columns=COLUMNS | dict(id="answer|when"))
  )
  assert f"{path}, row 1: 'when' holds a timestamp[us] that cannot" in told


def test_what_columns_hold_that_are_not_named_does_no_harm(tmp_path):
  info = pa.StructArray.from_arrays(
    [pa.array(["1", "2"]), unchecked(b"\xff", b"\xff")], ["gold", "note"]
  )
  columns = {
    "the.question": pa.array(["1?", "2?"]),
    "info": info,
    "bad": unchecked(b"\xff", b"\xff"),
    "when": pa.array([2**62] * 2, pa.timestamp("us")),
    "nano": pa.array([1] * 2, pa.timestamp("ns")),
  }
  path = table(tmp_path / "a.parquet", **columns)
  both = "none+info.gold|info.gold+the.question"
  given = dict(prompt="problem|the.question", answer="gold|info.gold")
  found = read(path, columns=given)
  assert [(row.question, row.answer) for row in found] == [
    ("1?", "1"),
    ("2?", "2"),
  ]
  found = read(path, columns=given | dict(answer=both), reference="json")
  assert [row.answer for row in found] == ['["1", "1?"]', '["2", "2?"]']
  # They are named all the same where another is missing.
  told = message_of(lambda: read(path, columns=given | dict(answer="gold")))
  assert f"{path}, row 0: nothing under 'gold'" in told
  assert "['the.question', 'info.gold', 'info.note', 'bad', 'when'," in told


def test_a_line_that_is_not_utf_8_is_told(tmp_path):
  good = json.dumps(dict(question="1?", answer="1")).encode()
  (tmp_path / "a.jsonl").write_bytes(good + b"\n" + b'{"question": "\xff"}\n')
  told = message_of(lambda: read(tmp_path / "a.jsonl", columns=COLUMNS))
  assert "a.jsonl, line 2: not UTF-8" in told and "iconv" in told


@pytest.mark.parametrize(
  ("line", "message"),
  [
    ('{"question": "1?", "ans', "line 1: not JSON"),
    ("[1, 2]", "must be an object"),
    ("[" * 100_000, "line 1: not JSON"),
    ('{"question": "\\ud800?", "answer": "1"}', "half a character"),
    ('{"question": 3, "answer": "1"}', "the prompt 3 must be text or a list"),
    ('{"question": [], "answer": "1"}', "must be text or a list of messages"),
    ('{"question": ["a"], "answer": "1"}', "the message 'a' must have a role"),
    (
      '{"question": [{"role": "tool", "content": "a"}], "answer": "1"}',
      "must have a role of",
    ),
    (
      '{"question": [{"role": "user", "content": ["a"]}], "answer": "1"}',
      "its content as text",
    ),
    (
      '{"question": [{"role": "assistant", "content": "a"}], "answer": "1"}',
      "the last message is of the assistant",
    ),
    ('{"question": "1?", "answer": ["1"]}', "must be text or a number"),
    ('{"question": "1?", "answer": true}', "the answer True must be"),
    ('{"question": "1?", "answer": NaN}', "the answer nan must be finite"),
    ('{"question": "1?", "answer": -Infinity}', "answer -inf must be finite"),
  ],
)
def test_a_line_that_is_no_problem_is_told(line, message, tmp_path):
  (tmp_path / "a.jsonl").write_text(line + "\n")
  told = message_of(lambda: read(tmp_path / "a.jsonl", columns=COLUMNS))
  assert "a.jsonl, line 1: " in told and message in told


def test_a_reference_that_is_no_finite_number_is_told(tmp_path):
  path = table(
    tmp_path / "a.parquet",
    question=pa.array(["1?", "2?"]),
    answer=pa.array([1.0, float("nan")]),
  )
  told = message_of(lambda: read(path, columns=COLUMNS))
  assert f"{path}, row 1: the answer nan must be finite" in told
  rows = [dict(question="1?", answer=[float("inf")])]
  path = jsonl(tmp_path / "b.jsonl", rows)
  told = message_of(lambda: read(path, columns=COLUMNS, reference="json"))
  assert f"{path}, line 1: the answer [inf] cannot be written as JSON" in told


def test_a_missing_field_names_those_that_are_there(tmp_path):
  path = parquet(tmp_path / "a.parquet", [dict(question="1?", answer="1")])
  told = message_of(lambda: read(path))
  assert f"{path}, row 0: nothing under 'prompt'" in told
  assert "['question', 'answer']" in told
  assert 'columns=dict(prompt="...")' in told
  row = verl("1?")
  row["reward_model"] = dict(gold="1")
  told = message_of(lambda: read(parquet(tmp_path / "b.parquet", [row])))
  assert "nothing under 'reward_model.ground_truth'" in told
  assert "'reward_model.gold'" in told


def test_a_file_without_rows_is_told(tmp_path):
  (tmp_path / "a.jsonl").write_text("\n")
  assert "has no rows" in message_of(lambda: read(tmp_path / "a.jsonl"))
  table = pa.Table.from_pylist([verl("1?")]).slice(0, 0)
  pq.write_table(table, tmp_path / "b.parquet")
  assert "has no rows" in message_of(lambda: read(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
  ("columns", "message"),
  [
    (dict(promt="a"), "columns has 'promt'; allowed are"),
    (dict(prompt=3), r"columns\['prompt'\] = 3 must name a column"),
  ],
)
def test_wrong_columns_are_told(columns, message):
  with pytest.raises(ValueError, match=message):
    sources.columns_of(columns)
