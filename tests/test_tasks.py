"""Tasks: data order, tokens, datasets without TensorFlow."""

import os
import random
import re
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from rlvr_jax import tasks
from rlvr_jax.tasks import builders, configs, prepared
from rlvr_jax.tasks.base import Problem

fixed = hypothesis.settings(
  derandomize=True, max_examples=50, deadline=None, database=None
)
seeds = st.integers(0, 2**32)
sizes = st.integers(1, 40)
cursors = st.integers(0, 10**6)
counts = st.integers(0, 120)

TOKENIZER = tasks.CharTokenizer("0123456789+=")


def problem(prompt="7=", demonstrations=("1+6",), index=0):
  return Problem(prompt, "", demonstrations, index)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  """One folder for the file, so that each dataset is prepared once."""
  return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def split(data_dir):
  return tasks.load("split", data_dir=data_dir)


@pytest.fixture(scope="module")
def small_sum(data_dir):
  options = dict(largest=20, train=100, evaluation=30)
  return tasks.load("sum", data_dir=data_dir, **options)


# Data order.


@fixed
@hypothesis.given(seed=seeds, size=sizes, epoch=st.integers(0, 1000))
def test_every_epoch_is_a_permutation(seed, size, epoch):
  rows = tasks.prompts_at(seed, epoch * size, size, size)
  assert sorted(rows) == list(range(size))


@fixed
@hypothesis.given(
  seed=seeds, size=sizes, cursor=cursors, count=counts, skip=counts
)
def test_reading_from_a_cursor_equals_dropping_what_came_before(
  seed, size, cursor, count, skip
):
  whole = tasks.prompts_at(seed, cursor, skip + count, size)
  later = tasks.prompts_at(seed, cursor + skip, count, size)
  np.testing.assert_array_equal(whole[skip:], later)


@fixed
@hypothesis.given(
  seed=seeds,
  size=sizes,
  cursor=cursors,
  rows=st.integers(1, 9),
  processes=st.integers(1, 8),
)
def test_process_slices_concatenate_to_the_global_order(
  seed, size, cursor, rows, processes
):
  whole = tasks.prompts_at(seed, cursor, rows * processes, size)
  parts = [
    tasks.prompts_at(seed, cursor + rows * process, rows, size)
    for process in range(processes)
  ]
  np.testing.assert_array_equal(whole, np.concatenate(parts))


@fixed
@hypothesis.given(
  seed=seeds, size=sizes, steps=st.lists(st.integers(0, 30), max_size=8)
)
def test_steps_that_consume_unequal_numbers_read_the_same_order(
  seed, size, steps
):
  cursor, parts = 0, [np.empty(0, np.int64)]
  for count in steps:
    parts.append(tasks.prompts_at(seed, cursor, count, size))
    cursor += count
  whole = tasks.prompts_at(seed, 0, cursor, size)
  np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_epochs_and_seeds_differ():
  order = tasks.prompts_at(0, 0, 200, 100)
  assert (order[:100] != order[100:]).any()
  assert (order[:100] != tasks.prompts_at(1, 0, 100, 100)).any()


def test_the_order_of_seed_0_is_pinned_since_resumed_runs_rely_on_it():
  rows = tasks.prompts_at(0, 5, 6, 8)
  assert rows.dtype == np.int64
  assert rows.tolist() == [0, 1, 7, 1, 3, 7], (
    "numpy's permutation changed: say so"
  )


@pytest.mark.parametrize(
  "arguments, message",
  [
    ((0, 0, 1, 0), "size = 0 must be >= 1"),
    ((0, -1, 1, 5), "cursor = -1 must be >= 0"),
    ((0, 0, -2, 5), "count = -2 must be >= 0"),
    ((-3, 0, 1, 5), "seed = -3 must be >= 0"),
  ],
)
def test_prompts_at_names_the_argument_out_of_range(arguments, message):
  with pytest.raises(ValueError, match=message):
    tasks.prompts_at(*arguments)


# Tokenizer.


@fixed
@hypothesis.given(text=st.text("0123456789+="))
def test_decode_inverts_encode_and_stops_at_the_first_eos(text):
  ids = TOKENIZER.encode(text)
  assert TOKENIZER.decode([0, *ids, 0, 1, 5, 999]) == text
  assert all(2 <= token < TOKENIZER.vocab_size for token in ids)


def test_pad_is_0_eos_is_1_and_characters_follow_in_order():
  tokenizer = tasks.CharTokenizer("ba")
  assert (tokenizer.pad_id, tokenizer.eos_id) == (0, 1)
  assert tokenizer.encode("ab") == [3, 2]
  assert tokenizer.decode(np.array([2, 3, 1], np.int32)) == "ba"


def test_an_unknown_character_is_named_with_text_and_alphabet():
  with pytest.raises(ValueError, match="'x' of '1x2'.*'0123456789"):
    TOKENIZER.encode("1x2")


def test_an_id_beyond_the_vocabulary_is_an_error():
  with pytest.raises(ValueError, match=r"14 must lie in \[0, 14\)"):
    TOKENIZER.decode([14])
  with pytest.raises(ValueError, match=r"-1 must lie in \[0, 14\)"):
    TOKENIZER.decode([-1])


@pytest.mark.parametrize("alphabet", ["", "aba"])
def test_an_alphabet_holds_each_character_once(alphabet):
  with pytest.raises(ValueError, match="CharTokenizer.alphabet"):
    tasks.CharTokenizer(alphabet)


# Batches of tokens.


def test_prompts_are_padded_on_the_left():
  problems = [problem("7="), problem("12=")]
  tokens, mask = tasks.encode_prompts(problems, TOKENIZER, 4)
  # Character c has id c + 2, "=" has 13.
  assert tokens.tolist() == [[0, 0, 9, 13], [0, 3, 4, 13]]
  assert mask.tolist() == [[False, False, True, True], [False] + 3 * [True]]
  assert (tokens.dtype, mask.dtype) == (np.int32, bool)


def test_a_prompt_that_does_not_fit_is_named_with_length_and_width():
  with pytest.raises(ValueError, match="'123=' has 4 tokens.*1 to 3"):
    tasks.encode_prompts([problem("123=")], TOKENIZER, 3)


def test_a_prompt_without_tokens_is_an_error():
  with pytest.raises(ValueError, match="'' has 0 tokens"):
    tasks.encode_prompts([problem("")], TOKENIZER, 3)


def test_prompt_width_is_the_smallest_that_fits():
  problems = [problem("7="), problem("123=")]
  assert tasks.prompt_width(problems, TOKENIZER, (16, 4, 8)) == 4
  with pytest.raises(ValueError, match="'123='.*at least 4"):
    tasks.prompt_width(problems, TOKENIZER, (2, 3))


def test_prompts_are_padded_to_few_widths_and_short_ones_to_their_own():
  assert tasks.prompt_widths(4) == [4]
  assert tasks.prompt_widths(100) == [100, 50, 25]
  assert tasks.prompt_widths(1025) == [1025, 513, 257, 129]


def test_a_demonstration_follows_its_prompt_and_ends_with_eos():
  batch = tasks.demonstration_batch(
    [problem("7=", ("1+6",))], TOKENIZER, 0, 0, prompt_width=3, response_width=6
  )
  # 0 pad, "7=" | "1+6", eos, pad, pad
  assert batch["tokens"].tolist() == [[0, 9, 13, 3, 12, 8, 1, 0, 0]]
  assert batch["prompt_mask"].tolist() == [[False, True, True]]
  assert batch["mask"].tolist() == [[True] * 4 + [False] * 2]
  assert batch["tokens"].dtype == np.int32


@fixed
@hypothesis.given(seed=seeds, cursor=cursors, start=st.integers(0, 5))
def test_demonstrations_are_a_function_of_seed_and_place(seed, cursor, start):
  many = tuple(f"{a}+{40 - a}" for a in range(10, 30))
  problems = [problem("40=", many, i) for i in range(6)]
  whole = tasks.demonstration_batch(problems, TOKENIZER, seed, cursor, 3, 6)
  part = tasks.demonstration_batch(
    problems[start:], TOKENIZER, seed, cursor + start, 3, 6
  )
  np.testing.assert_array_equal(whole["tokens"][start:], part["tokens"])


def test_a_sloppy_teacher_errs_in_the_last_token_of_some_demonstrations():
  problems = [problem()] * 2000
  args = (problems, TOKENIZER, 0, 0, 3, 6)
  right = tasks.demonstration_batch(*args)
  sloppy = tasks.demonstration_batch(*args, typos=0.3)
  wrong = right["tokens"] != sloppy["tokens"]
  # "1+6" and its eos stand in columns 3 to 6: only the 6 may change.
  assert not wrong[:, :5].any() and not wrong[:, 6:].any()
  letters = TOKENIZER.vocab_size - 2
  expected = 0.3 * (1 - 1 / letters)
  # Five standard deviations of a share of 2000.
  assert abs(wrong.any(axis=1).mean() - expected) < 5 * 0.5 / 2000**0.5
  np.testing.assert_array_equal(right["mask"], sloppy["mask"])


def test_every_demonstration_comes_up():
  batch = tasks.demonstration_batch(
    [problem("4=", ("1+3", "2+2", "3+1"))] * 60, TOKENIZER, 0, 0, 2, 4
  )
  assert len(np.unique(batch["tokens"], axis=0)) == 3


@pytest.mark.parametrize(
  "demonstrations, message",
  [((), "Problem 0 .* has no demonstration"), (("11+22",), "6 tokens.*1 to 4")],
)
def test_a_missing_or_long_demonstration_is_an_error(demonstrations, message):
  row = problem("7=", demonstrations)
  with pytest.raises(ValueError, match=message):
    tasks.demonstration_batch([row], TOKENIZER, 0, 0, 2, 4)


# TFDS builders.


def test_split_holds_out_a_fifth_of_the_targets(split):
  train = {p.prompt for p in split.train}
  held_out = {p.prompt for p in split.evaluation}
  assert train | held_out == {f"{target}=" for target in range(10, 100)}
  assert (len(train), len(held_out)) == (72, 18)
  assert (split.max_prompt_length, split.max_response_length) == (3, 6)


def test_split_demonstrates_every_right_answer_once(split):
  for row in (*split.train, *split.evaluation):
    assert len(set(row.demonstrations)) == int(row.prompt[:-1]) - 1
    right = row.demonstrations
    assert split.grade([row] * len(right), right) == [1] * len(right)


def test_sum_has_its_sizes_and_no_pair_in_both_splits(small_sum):
  def pairs(problems):
    return {tuple(sorted(p.prompt[:-1].split("+"))) for p in problems}

  train, held_out = pairs(small_sum.train), pairs(small_sum.evaluation)
  assert (len(train), len(held_out)) == (100, 30)
  assert not train & held_out


def test_sum_answers_are_right_and_operands_in_range(small_sum):
  for row in (*small_sum.train, *small_sum.evaluation):
    operands = [int(text) for text in row.prompt[:-1].split("+")]
    assert all(1 <= operand <= 20 for operand in operands)
    assert row.answer == str(sum(operands))
    assert row.demonstrations == (row.answer,)


def test_more_training_problems_leave_the_evaluation_of_sum_alone(
  small_sum, data_dir
):
  options = dict(largest=20, train=101, evaluation=30)
  larger = tasks.load("sum", data_dir=data_dir, **options)
  assert larger.evaluation == small_sum.evaluation


def test_rows_are_numbered_and_read_back_the_same(split, data_dir):
  assert [p.index for p in split.train] == list(range(72))
  again = tasks.load("split", data_dir=data_dir)
  assert (again.train, again.evaluation) == (split.train, split.evaluation)


def test_seeds_hold_out_different_targets(split, data_dir):
  other = tasks.load("split", data_dir=data_dir, seed=1)
  assert {p.prompt for p in other.evaluation} != {
    p.prompt for p in split.evaluation
  }


@pytest.mark.parametrize(
  "make, options, message",
  [
    (configs.split_config, {"largest": 13}, r"split: largest = 13 .*\[14, 999"),
    (configs.split_config, {"seed": -1}, "split: seed = -1"),
    (configs.sum_config, {"largest": 0}, "sum: largest = 0"),
    (configs.sum_config, {"evaluation": 0}, "sum: evaluation = 0"),
    (
      configs.sum_config,
      {"largest": 9},
      "up to largest = 9 make only 45 pairs",
    ),
  ],
)
def test_config_errors_name_the_argument(make, options, message):
  with pytest.raises(ValueError, match=message):
    make(**options)


def test_preparing_leaves_the_random_numbers_of_the_caller_alone(tmp_path):
  random.seed(7)
  expected = random.getstate()
  prepared.read(builders.Split, configs.split_config(14), tmp_path)
  assert random.getstate() == expected


def test_the_loser_of_a_race_reads_what_the_winner_wrote(tmp_path, monkeypatch):
  config = configs.split_config(20)
  generate = builders.Split._generate_examples
  winner = []

  def overtaken(self, rows):
    monkeypatch.setattr(builders.Split, "_generate_examples", generate)
    # Seeded alike, TFDS would give both the same private folder.
    random.seed(0)
    winner.append(prepared.read(builders.Split, config, tmp_path))
    return generate(self, rows)

  monkeypatch.setattr(builders.Split, "_generate_examples", overtaken)
  random.seed(0)
  assert prepared.read(builders.Split, config, tmp_path) == winner[0]
  assert not list(tmp_path.rglob("incomplete*"))


def test_an_unwritable_folder_is_an_error(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(OSError):
    tasks.load("split", data_dir=tmp_path / "file")


RACER = """
import random, sys, time
from rlvr_jax import tasks
random.seed(0)
print("ready", flush=True)
sys.stdin.readline()
task = tasks.load("sum", data_dir=sys.argv[1], largest=99, train=900)
assert not [name for name in sys.modules if name.split(".")[0] == "tensorflow"]
print("read", hash((*task.train, *task.evaluation)), flush=True)
"""


def test_processes_that_prepare_at_once_agree_and_need_no_tensorflow(tmp_path):
  racers = [
    subprocess.Popen(
      [sys.executable, "-c", RACER, str(tmp_path)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    for _ in range(2)
  ]
  for racer in racers:
    assert racer.stdout.readline() == "ready\n", racer.communicate()[1]
  for racer in racers:
    racer.stdin.write("\n")
    racer.stdin.flush()
  outputs = [racer.communicate() for racer in racers]
  read = [re.findall("read .*", output) for output, _ in outputs]
  assert len(read[0]) == 1 and read[0] == read[1], outputs
  assert not list(tmp_path.rglob("incomplete*"))


# Loading by name.


def test_an_unknown_task_names_the_allowed_and_the_nearest():
  with pytest.raises(ValueError, match="'spilt'.*'sum'.*nearest is 'split'"):
    tasks.load("spilt")


def test_a_misspelt_option_is_an_error():
  with pytest.raises(TypeError, match="largets"):
    tasks.load("split", largets=50)
