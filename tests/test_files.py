"""Problems of datasets: reading, filtering, the task that they make."""

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import folders
import runs
from configs import default
from rlvr_jax import tasks
from rlvr_jax.tasks import filters, overlap, sources
from rlvr_jax.training import config as config_lib

# The spellings that public files have.
STYLES = (
  *("rule", "rule_mine", "rule-lighteval/MATH_v2", "model", "Rule", "RULE"),
)
COLUMNS = dict(prompt="question", answer="answer")


def verl(question, answer="4", index=0, source="toy", **more):
  """A row as verl's files have it."""
  return dict(
    data_source=source,
    prompt=[dict(role="user", content=question)],
    ability="math",
    reward_model=dict(ground_truth=answer, style=STYLES[len(question) % 6]),
    extra_info=dict(index=index),
    **more,
  )


def parquet(path, rows, **options):
  pq.write_table(pa.Table.from_pylist(rows), path, **options)
  return str(path)


def jsonl(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


def read(spec, **options):
  return list(sources.read(str(spec), **options))


def message_of(call):
  with pytest.raises(ValueError) as caught:
    call()
  return str(caught.value)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


@pytest.fixture
def two(tmp_path):
  """A file to learn from and one to measure on."""
  train = [verl(f"What is {i} plus {i}?", str(2 * i), i) for i in range(20)]
  held_out = [verl("What is 5 minus 5?", "0", 0, "held out")]
  return dict(
    train=(parquet(tmp_path / "train.parquet", train),),
    evaluation=(parquet(tmp_path / "eval.parquet", held_out),),
  )


def check(answer):
  return None if answer.isdecimal() else "is no number"


STYLE = tasks.Style(
  tasks.each(lambda problem, text: float(text == problem.answer)),
  lambda problem, text: text or None,
  check,
)


def load(tokenizer, **options):
  return tasks.load("files", tokenizer=tokenizer, grading=STYLE, **options)


# Rows.


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
  ],
)
def test_a_line_that_is_no_problem_is_told(line, message, tmp_path):
  (tmp_path / "a.jsonl").write_text(line + "\n")
  told = message_of(lambda: read(tmp_path / "a.jsonl", columns=COLUMNS))
  assert "a.jsonl, line 1: " in told and message in told


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


# Filters.


def keep(rows, **options):
  report = filters.Report()
  options = dict(render=lambda row: row.question, count=len) | options
  keeper = filters.Filter(report, **options)
  return [kept.row.question for kept in keeper(rows)], report


def row(question, answer="1", id=None, source="toy", place="a.jsonl, line 1"):
  messages = (dict(role="user", content=question),)
  return sources.Row(messages, answer, source, id or question, place)


def dropped(report):
  return {key: found.count for key, found in report.dropped.items()}


def test_prompts_that_are_empty_too_long_or_repeated_are_counted():
  rows = [row("one"), row(" \n"), row("three"), row("one"), row("four")]
  kept, report = keep(rows, longest=4)
  assert kept == ["one", "four"]
  assert dropped(report) == {
    ("toy", filters.EMPTY): 1,
    ("toy", filters.LONG): 1,
    ("toy", filters.REPEATED): 1,
  }
  assert (report.read["toy"], report.kept["toy"]) == (5, 2)
  told = str(report)
  assert "toy: 2 of 5 rows kept" in told
  assert "1 dropped: prompt too long\n    'a.jsonl, line 1: 5 tokens" in told


def test_a_prompt_is_the_same_whatever_its_blanks_and_its_form_of_accents():
  rows = [
    row("is é 2?"),
    row("is  e\u0301\n2?"),
    row("is É 2?"),
    row("is é-2?"),
  ]
  assert keep(rows)[0] == ["is é 2?", "is É 2?", "is é-2?"]


def test_a_prompt_with_two_answers_is_told_and_the_first_stays():
  kept, report = keep([row("a"), row("a", "2", place="a.jsonl, line 2")])
  assert kept == ["a"]
  (found,) = report.dropped.values()
  told = "a.jsonl, line 2: '2', but '1' in a.jsonl, line 1"
  assert dropped(report) == {("toy", filters.CONTRADICTS): 1}
  assert found.examples == (told,)


def test_a_report_shows_few_examples_however_many_there_are():
  report = keep([row("")] * 500)[1]
  (found,) = report.dropped.values()
  assert (found.count, len(found.examples)) == (500, 2)


def test_every_dataset_of_the_evaluation_has_its_own_problems():
  rows = [row("a"), row("a", source="other"), row("a")]
  assert keep(rows)[0] == ["a"]
  assert keep(rows, by_source=True)[0] == ["a", "a"]


def test_duplicate_ids_of_different_problems_are_an_error():
  twice = [row("a", id="7"), row("a", id="7"), row("b", id="7", place="x")]
  with pytest.raises(ValueError, match="x: its id '7' is that of another"):
    keep(twice)
  # Those of two datasets may be alike, and so may those of two files.
  kept, _ = keep([row("a", id="7"), row("b", id="7", source="other")])
  assert kept == ["a", "b"]
  keeper = filters.Filter(filters.Report(), lambda row: row.question, len)
  assert list(keeper([row("a", id="7")])) and list(keeper([row("b", id="7")]))


@pytest.mark.parametrize("answer", ["", " ", "four"])
def test_a_reference_that_cannot_be_parsed_is_an_error_or_dropped(answer):
  rows = [row("a"), row("b", answer, place="a.jsonl, line 2")]
  told = message_of(lambda: keep(rows, check=check))
  assert told.startswith("a.jsonl, line 2: the reference answer") and (
    repr(answer) in told and 'unparsable="drop"' in told
  )
  kept, report = keep(rows, check=check, unparsable="drop")
  assert kept == ["a"] and dropped(report) == {("toy", filters.UNPARSABLE): 1}


# Overlap.

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


def left(train, evaluation, length=13):
  """The training questions that are not in the evaluation."""
  report = filters.Report()
  held_out = overlap.HeldOut({"toy": evaluation}, length)
  apart = filters.Apart(held_out, report)
  for number, question in enumerate(train):
    apart.note(number, row(question))
  out = apart.found()
  assert sum(dropped(report).values()) == len(out)
  return [q for number, q in enumerate(train) if number not in out]


def test_a_shared_run_of_words_drops_a_problem_whatever_its_signs_and_case():
  near = "Say: " + LONG.upper().replace(" ", ", ") + "!"
  shorter = LONG.replace("seven", "7")
  assert left([near, shorter, "else"], [LONG + " end"]) == [shorter, "else"]
  assert left([near, shorter], [LONG + " end"], length=6) == []
  assert left([near, LONG + " end"], [LONG + " end"], length=0) == [
    near,
    LONG + " end",
  ]


def test_a_short_prompt_is_held_out_only_if_it_is_the_same():
  train = ["What is 2 + 3?", "What is  2 + 3?", "What is 2 - 3?", "2 + 3?"]
  assert left(train, ["What is 2 + 3?"]) == train[2:]


def test_the_instruction_of_a_dataset_gives_no_problem_away():
  ask = f"{LONG} words of instruction. What is {{}}? Put it in a box, please."
  evaluation = [ask.format(word) for word in ("love", "truth", "beauty")]
  train = [ask.format(word) for word in ("hate", "lies", "love")]
  assert left(train, evaluation) == train[:2]


def test_a_phrase_of_many_problems_gives_none_away():
  evaluation = ["Find it, " + LONG, "Something else"]
  many = [f"Problem {i}: {LONG}" for i in range(11)]
  assert left(many, evaluation) == many
  assert left(many[:10], evaluation) == []


# The task.


def test_a_task_of_files_has_rendered_prompts_names_and_ids(tokenizer, two):
  task = load(tokenizer, instruction="Box it.", system="Be brief.", **two)
  assert (len(task.train), len(task.evaluation)) == (20, 1)
  first = task.train[0]
  assert first.prompt == (
    "<|im_start|>system\nBe brief.<|im_end|>\n"
    "<|im_start|>user\nWhat is 0 plus 0?\n\nBox it.<|im_end|>\n"
    "<|im_start|>assistant\n"
  )
  assert (first.answer, first.source, first.id) == ("0", "toy", "0")
  assert task.evaluation[0].source == "held out"
  assert [p.index for p in task.train] == list(range(20))
  prompts = [p.prompt for p in (*task.train, *task.evaluation)]
  lengths = [len(tokenizer.encode(prompt)) for prompt in prompts]
  assert task.max_prompt_length == max(lengths)
  assert task.max_response_length == 0 and task.mixture == ()
  graded = tasks.grade(task, task.train[:2], ["0", "3"])
  assert graded.reward.tolist() == [1, 0] and graded.answers == ["0", "3"]


def test_weights_mix_files_and_without_them_all_rows_are_one(
  tokenizer, two, tmp_path
):
  rows = [verl(f"Is {i} even?", "1", i, "other") for i in range(5)]
  train = (*two["train"], parquet(tmp_path / "other.parquet", rows))
  both = dict(train=train, evaluation=two["evaluation"])
  task = load(tokenizer, **both)
  np.testing.assert_array_equal(
    task.training_rows(0, 0, 60), tasks.prompts_at(0, 0, 60, 25)
  )
  task = load(tokenizer, train_weights=(1, 3), **both)
  assert task.mixture == (tasks.Part(20, 1), tasks.Part(5, 3))
  came = [task.train[i].source for i in task.training_rows(0, 0, 400)]
  assert came.count("other") == 300


def test_what_is_dropped_leaves_the_order_of_the_rest_and_is_logged(
  tokenizer, tmp_path, caplog
):
  good = [verl(f"What is {i} plus 1?", "1", i) for i in range(8)]
  bad = [verl("", "1", 20), verl("So? " * 99, "1", 21), verl("a?", "x", 22)]
  rows = [*good[:3], *bad, good[1], *good[3:], verl("held out?", "1", 30)]
  task = load(
    tokenizer,
    train=(parquet(tmp_path / "a.parquet", rows),),
    evaluation=(jsonl(tmp_path / "b.jsonl", [verl("held out?", "1")]),),
    max_prompt=60,
    unparsable="drop",
  )
  assert [p.id for p in task.train] == [str(i) for i in range(8)]
  told = "\n".join(r.getMessage() for r in caplog.records)
  assert "toy: 8 of 13 rows kept" in told
  for count, reason in (
    (1, filters.EMPTY),
    (1, filters.LONG),
    (1, filters.UNPARSABLE),
    (1, filters.REPEATED),
    (1, filters.HELD_OUT),
  ):
    assert f"{count} dropped: {reason}\n" in told


def test_an_evaluation_file_that_repeats_its_problems_has_each_once(
  tokenizer, two, tmp_path
):
  rows = [verl(f"{i}?", "1", i) for i in range(3)] * 32
  path = parquet(tmp_path / "a.parquet", rows)
  task = load(tokenizer, train=two["train"], evaluation=(path,))
  assert [p.id for p in task.evaluation] == ["0", "1", "2"]


def test_a_file_of_which_nothing_is_left_is_told_with_the_reasons(
  tokenizer, two
):
  told = message_of(lambda: load(tokenizer, max_prompt=3, **two))
  assert f"Nothing is left of {two['evaluation'][0]!r}" in told
  assert "1 dropped: prompt too long" in told
  same = dict(train=two["train"], evaluation=two["train"])
  told = message_of(lambda: load(tokenizer, **same))
  assert "20 dropped: is in the evaluation" in told


def test_mathematics_is_graded_by_marked_answers_that_are_equal(
  tokenizer, tmp_path
):
  pytest.importorskip("math_verify")
  path = parquet(tmp_path / "a.parquet", [verl("Half of one?", "0.5")])
  both = dict(train=(path,), evaluation=(path,), ngram=0, style="math")
  task = tasks.load("files", tokenizer=tokenizer, **both)
  texts = ["It is \\boxed{\\frac{1}{2}}", "\\boxed{2}", "0.5"]
  graded = tasks.grade(task, task.train * 3, texts)
  assert graded.reward.tolist() == [1, 0, 0]
  assert graded.known.all()
  assert graded.answers == ["1/2", "2", None]
  path = parquet(tmp_path / "b.parquet", [verl("What?", "9" * 5000)])
  told = message_of(
    lambda: tasks.load(
      "files", tokenizer=tokenizer, **both | dict(train=(path,))
    )
  )
  assert "row 0: the reference answer '9999" in told and "too large" in told


def test_a_task_of_files_needs_a_tokenizer(two):
  with pytest.raises(ValueError, match="HFTokenizer"):
    load(None, **two)


def test_questions_of_reasoning_gym_differ_between_the_splits(tokenizer):
  pytest.importorskip("reasoning_gym")
  both = dict(train=("gym:chain_sum:30",), evaluation=("gym:chain_sum:20",))
  style = STYLE._replace(check=lambda answer: None)
  task = tasks.load("files", tokenizer=tokenizer, grading=style, **both)
  assert not {p.prompt for p in task.train} & {
    p.prompt for p in task.evaluation
  }
  assert len(task.train) > 20


# Tasks of characters, for a pretrained model.


def test_arithmetic_is_asked_with_the_template_and_graded_as_before(
  tokenizer, tmp_path
):
  options = dict(data_dir=tmp_path, largest=20)
  plain = tasks.load("split", **options)
  task = tasks.load("split", tokenizer=tokenizer, **options)
  for own, asked in zip(plain.train, task.train):
    assert asked.prompt == (
      f"<|im_start|>user\n{own.prompt}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert asked[1:] == own[1:]
  texts = [p.demonstrations[0] for p in task.train]
  assert tasks.grade(task, task.train, texts).reward.all()
  assert tasks.grade(task, task.train[:1], ["1+1"]).answers == ["1+1"]
  assert not tasks.grade(task, task.train[:1], ["1+1"]).reward.any()
  longest = max(len(tokenizer.encode(text)) for text in texts) + 1
  assert task.max_response_length >= longest
  tasks.demonstration_batch(
    task.train[:4],
    tokenizer,
    0,
    0,
    task.max_prompt_length,
    task.max_response_length,
  )


def test_a_model_without_a_template_reads_the_question_itself(tmp_path):
  tokenizer = tasks.HFTokenizer(folders.plain(tmp_path / "model"))
  options = dict(data_dir=tmp_path, largest=20)
  task = tasks.load("split", tokenizer=tokenizer, **options)
  assert task.train == tasks.load("split", **options).train


def test_a_generator_has_one_tokenizer(tokenizer):
  pytest.importorskip("reasoning_gym")
  with pytest.raises(ValueError, match="alphabet = '01' is of a tokenizer"):
    tasks.load("gym:spell_backward", tokenizer=tokenizer, alphabet="01")


def test_a_generator_keeps_the_room_that_it_was_given(tokenizer):
  pytest.importorskip("reasoning_gym")
  sizes = dict(size=3, evaluation_size=2, max_response_length=99)
  task = tasks.load("gym:chain_sum", tokenizer=tokenizer, **sizes)
  assert task.max_response_length == 99
  answers = [p.answer for p in task.train]
  assert tasks.grade(task, task.train, answers).reward.all()


# Options and configurations.


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (dict(train="a"), r"train = 'a' must be a tuple of 0 or more datasets"),
    (dict(evaluation=()), r"evaluation = \(\) must be a tuple of 1 or more"),
    (dict(train="a.parquet"), "train = 'a.parquet' must be a tuple"),
    (dict(evaluation=(3,)), "evaluation holds 3, which is no path"),
    (dict(train=("no.jsonl",)), "There is no file 'no.jsonl'"),
    (dict(train_weights=(1, 2)), "has 2 entries for 1 datasets"),
    (dict(train_weights=(0,)), "train_weights holds 0, which must be"),
    (dict(train_weights=(float("nan"),)), "train_weights holds nan"),
    (dict(columns=dict(promt="a")), "columns has 'promt'"),
    (dict(template="jinja"), r"template = 'jinja' must be one of \['chat'"),
    (dict(unparsable="skip"), "unparsable = 'skip' must be one of"),
    (dict(style="poetry"), "style = 'poetry' must be one of"),
    (dict(clusters="near"), "clusters = 'near' must be one of"),
    (dict(max_prompt=-1), "max_prompt = -1 must be >= 0"),
    (dict(ngram=-1), "ngram = -1 must be >= 0"),
  ],
)
def test_an_option_out_of_range_is_told(options, message, two):
  with pytest.raises(ValueError, match=message):
    tasks.FilesOptions(**(two | options))


def test_a_dataset_that_would_hardly_ever_come_is_told(two):
  both = dict(train=(*two["train"], "gym:chain_sum"), train_weights=(1, 1e-9))
  with pytest.raises(ValueError, match="weight=1e-09.* a millionth"):
    tasks.FilesOptions(**two | both)


def test_a_dataset_is_named_once(two):
  with pytest.raises(ValueError, match="more than once; give .* a larger weig"):
    tasks.FilesOptions(train=two["train"] * 2, evaluation=two["evaluation"])


def config(two, **changes):
  c = runs.config(task__name="files", rollout__max_response=64)
  c.task.options = default.TASK_OPTIONS["files"] | two
  c.warm_start.steps = 0
  for name, value in changes.items():
    section, _, field = name.partition("__")
    c[section][field] = value
  return c


def test_a_configuration_of_files_is_right(two):
  config_lib.check(config(two))


def test_the_default_configuration_has_the_defaults_of_the_options(two):
  options = tasks.FilesOptions(**two)
  for name, value in default.TASK_OPTIONS["files"].items():
    if name == "columns":
      assert sources.columns_of(value) == sources.Columns()
    elif name not in two:
      assert value == getattr(options, name)


@pytest.mark.parametrize(
  ("changes", "options", "parts"),
  [
    (
      dict(rollout__max_response=0),
      {},
      ["config.rollout.max_response = 0", "in tokens"],
    ),
    (dict(warm_start__steps=5), {}, ["config.warm_start.steps = 5"]),
    (
      dict(rollout__max_prompt=99),
      {},
      ["config.rollout.max_prompt = 99", "config.task.options.max_prompt = 0"],
    ),
    ({}, dict(max_promt=9), ["options.max_promt = 9 is no option of 'files'"]),
    ({}, dict(max_prompt="9"), ["max_prompt = '9' must be a whole number"]),
    ({}, dict(thinking="no"), ["'no' must be True or False or None"]),
    ({}, dict(train=("no.jsonl",)), ["There is no file 'no.jsonl'"]),
    ({}, dict(style="poetry"), ["style = 'poetry'"]),
  ],
)
def test_a_bad_configuration_of_files_is_told_before_a_row_is_read(
  changes, options, parts, two
):
  c = config(two | options, **changes)
  began = time.perf_counter()
  told = runs.message(c)
  assert time.perf_counter() - began < 2
  for part in parts:
    assert part in told


def test_all_that_is_wrong_with_files_is_told_at_once(two):
  c = config(two | dict(ngram=-1), rollout__max_response=0, warm_start__steps=1)
  told = runs.message(c)
  assert "3 problem(s)" in told
