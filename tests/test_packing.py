"""Demonstrations: what becomes one, and how they are packed into rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import folders
from rlvr_jax import tasks
from rlvr_jax.tasks import demonstrations, packing, sources
from toy_files import jsonl, message_of, parquet

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


def said(role, content):
  return dict(role=role, content=content)


def read(tokenizer, train, **options):
  options = demonstrations.Options(train=(train,), **options)
  return demonstrations.read(tokenizer, options)


def texts(tokenizer, each):
  """Prompt and answer of a demonstration, special tokens written out."""
  whole = tokenizer._fast.decode(each.tokens, skip_special_tokens=False)
  answer = tokenizer._fast.decode(
    each.tokens[each.prompt :], skip_special_tokens=False
  )
  return whole.removesuffix(answer), answer


def test_a_prompt_is_written_as_the_model_reads_it_and_the_answer_ends(
  tmp_path, tokenizer
):
  rows = [dict(prompt="1 + 1?", response="2, und zwar immer.")]
  ((each,), _) = read(tokenizer, jsonl(tmp_path / "a.jsonl", rows))
  prompt, answer = texts(tokenizer, each)
  assert prompt == (
    "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
  )
  assert answer == "2, und zwar immer.<|im_end|>"


def test_of_a_conversation_every_answer_or_the_last_is_learnt(
  tmp_path, tokenizer
):
  messages = [
    *(said("user", "1?"), said("assistant", "one")),
    *(said("user", "2?"), said("assistant", "two")),
  ]
  path = parquet(tmp_path / "a.parquet", [dict(messages=messages)])
  both, _ = read(tokenizer, path)
  found = [texts(tokenizer, each) for each in both]
  assert [answer for _, answer in found] == ["one<|im_end|>", "two<|im_end|>"]
  assert "one<|im_end|>" in found[1][0] and "2?" not in found[0][0]
  (last,), _ = read(tokenizer, path, answers="last")
  assert texts(tokenizer, last) == found[1]


def test_an_assistant_that_answers_nobody_is_named(tmp_path, tokenizer):
  messages = [said("assistant", "one")]
  path = jsonl(tmp_path / "a.jsonl", [dict(messages=messages)])
  told = message_of(lambda: read(tokenizer, path))
  assert "line 1: the last message is missing" in told
  # Problems of a task still end with the user.
  columns = dict(prompt="messages", answer="messages")
  messages = [said("user", "1?"), said("assistant", "one")]
  path = jsonl(tmp_path / "b.jsonl", [dict(messages=messages)])
  told = message_of(lambda: list(sources.read(path, columns)))
  assert "the last message is of the assistant" in told


def test_what_is_too_long_empty_or_there_before_is_dropped_and_told(
  tmp_path, tokenizer, caplog
):
  rows = [
    dict(prompt="1?", response="one"),
    dict(prompt="1?", response="uno"),  # another answer is another example
    dict(prompt="1?", response="one"),
    dict(prompt="2?", response="two " * 30),
    dict(prompt="3?", response=" "),
    dict(prompt=" ", response="four"),
  ]
  found, _ = read(tokenizer, jsonl(tmp_path / "a.jsonl", rows), length=40)
  answers = [texts(tokenizer, each)[1] for each in found]
  assert answers == ["one<|im_end|>", "uno<|im_end|>"]
  told = caplog.text
  assert "a: 2 of 6 rows kept" in told
  for reason in (
    demonstrations.LONG,
    demonstrations.REPEATED,
    demonstrations.UNANSWERED,
    "prompt without text",
  ):
    assert f"1 dropped: {reason}" in told


def test_what_is_measured_on_is_not_learnt(tmp_path, tokenizer):
  question = "How many eggs are left if Janet sells nine of her sixteen eggs"
  rows = [
    dict(prompt=question + " today?", response="7"),
    dict(prompt="1?", response="one"),
  ]
  held = [dict(prompt=question + " on Monday, and why?", response="7")]
  train, evaluation = (
    jsonl(tmp_path / name, r)
    for name, r in (("a.jsonl", rows), ("b.jsonl", held))
  )
  found, measured = read(tokenizer, train, evaluation=(evaluation,), ngram=8)
  assert [texts(tokenizer, e)[1] for e in found] == ["one<|im_end|>"]
  assert len(measured) == 1
  found, _ = read(tokenizer, train, evaluation=(evaluation,), ngram=0)
  assert len(found) == 2


@pytest.mark.parametrize(
  ("wrong", "told"),
  [
    (dict(length=1), "length = 1 must be >= 2"),
    (dict(answers="first"), "answers = 'first' must be one of"),
    (dict(template="own"), "template = 'own' must be one of"),
  ],
)
def test_an_option_out_of_range_is_named(tmp_path, wrong, told):
  path = jsonl(tmp_path / "a.jsonl", [dict(prompt="1?", response="one")])
  options = dict(train=(path,)) | wrong
  assert told in message_of(lambda: demonstrations.Options(**options))


@given(st.lists(st.integers(1, 10), max_size=40))
def test_every_item_stands_in_one_row_that_has_room_for_it(lengths):
  rows = packing.fitted(lengths, 10)
  assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
  fill = [sum(lengths[i] for i in row) for row in rows]
  assert all(0 < total <= 10 for total in fill)
  # Two rows that would fit into one are one.
  assert sum(total <= 5 for total in fill) <= 1


def made(prompt, answer, first):
  """A demonstration of distinct tokens."""
  tokens = np.arange(first, first + prompt + answer, dtype=np.int32)
  return demonstrations.Demonstration(tokens, prompt)


def test_a_row_holds_whole_demonstrations_and_learns_their_answers():
  packed = packing.Packed(
    [made(2, 1, 10), made(1, 3, 20), made(3, 2, 30)], 8, pad_id=0
  )
  assert len(packed) == 2 and packed.fill == 12 / 16
  found = packed.arrays([0, 1, -1])
  np.testing.assert_array_equal(
    found["tokens"],
    [[30, 31, 32, 33, 34, 10, 11, 12], [20, 21, 22, 23, 0, 0, 0, 0], [0] * 8],
  )
  np.testing.assert_array_equal(
    found["segment"],
    [[0] * 5 + [1] * 3, [0] * 4 + [-1] * 4, [-1] * 8],
  )
  learnt = np.concatenate([np.zeros((3, 1), bool), found["mask"]], axis=1)
  np.testing.assert_array_equal(
    found["tokens"][learnt], [33, 34, 12, 21, 22, 23]
  )


def test_unshared_rows_hold_one_demonstration_each():
  packed = packing.Packed([made(1, 1, 10)] * 3, 8, pad_id=0, share=False)
  assert len(packed) == 3
  assert packed.arrays([2])["segment"].max() == 0
