"""Tasks of characters, asked of a pretrained model."""

import pytest

import folders
from rlvr_jax import tasks


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


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
