"""The task of datasets, its options and its configuration."""

import pathlib

import numpy as np
import pytest

import folders
import hf_cases
import runs
from configs import default
from rlvr_jax import tasks
from rlvr_jax.tasks import filters, sources
from rlvr_jax.training import config as config_lib
from toy_files import STYLE, jsonl, message_of, parquet, verl


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


def load(tokenizer, **options):
  return tasks.load("files", tokenizer=tokenizer, grading=STYLE, **options)


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


def test_the_columns_of_the_page_read_files_of_both_layouts(
  tokenizer, two, tmp_path
):
  columns = dict(
    prompt="problem|prompt", answer="answer|reward_model.ground_truth"
  )
  page = pathlib.Path(__file__).parent.parent / "docs" / "data.md"
  for field, names in columns.items():
    assert f'columns.{field}="{names}"' in page.read_text()
  row = dict(
    problem="What is 5 minus 4?",
    solution="Take 4 away.",
    answer="1",
    subject="Prealgebra",
    level=1,
    unique_id="test/prealgebra/1.json",
  )
  own = parquet(tmp_path / "math500.parquet", [row])
  both = dict(train=two["train"], evaluation=(*two["evaluation"], own))
  task = load(tokenizer, columns=columns, **both)
  assert len(task.train) == 20
  assert [p.source for p in task.evaluation] == ["held out", "math500"]


def test_a_task_of_files_needs_a_tokenizer(two):
  with pytest.raises(ValueError, match="HFTokenizer"):
    load(None, **two)


def test_questions_of_reasoning_gym_differ_between_the_splits(tokenizer):
  pytest.importorskip("reasoning_gym")
  both = dict(train=("gym:chain_sum:30",), evaluation=("gym:chain_sum:20",))
  style = STYLE._replace(check=lambda answers: [None] * len(answers))
  task = tasks.load("files", tokenizer=tokenizer, grading=style, **both)
  assert not {p.prompt for p in task.train} & {
    p.prompt for p in task.evaluation
  }
  assert len(task.train) > 20


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
    (dict(style="gym", clusters="math"), "clusters = 'math' compares mathe"),
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
  c.model = default.get_config().model.copy_and_resolve_references()
  c.model.folder = str(hf_cases.folder("qwen2"))
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
  told = runs.message(c)
  for part in parts:
    assert part in told


def test_all_that_is_wrong_with_files_is_told_at_once(two):
  c = config(two | dict(ngram=-1), rollout__max_response=0, warm_start__steps=1)
  told = runs.message(c)
  assert "3 problem(s)" in told
