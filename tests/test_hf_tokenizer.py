"""Tokenizers of pretrained models, read from folders."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import folders
from rlvr_jax import tasks
from rlvr_jax.tasks import encode
from rlvr_jax.tasks.hf_tokenizer import HFTokenizer

USER = [{"role": "user", "content": "How many eggs?"}]
MADE = ("chatml", "llama3", "gemma", "plain")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tokenizers")
  return {
    name: HFTokenizer(getattr(folders, name)(folder / name)) for name in MADE
  }


def test_the_ids_and_the_size_are_those_of_the_folder(made):
  told = {
    name: (t.vocab_size, t.stop_ids, t.eos_id, t.pad_id)
    for name, t in made.items()
  }
  assert told == {
    # <|im_end|> is the tokenizer's eos; the file adds <|endoftext|>, the pad.
    "chatml": (352, (349, 347), 349, 347),
    # No pad is named, but there is <|finetune_right_pad_id|>.
    "llama3": (353, (349, 348), 349, 352),
    "gemma": (446, (1, 5), 1, 0),
    # One token for everything: the pad is the eos.
    "plain": (348, (347,), 347, 347),
  }


def test_a_file_may_name_one_stop_id_or_none_at_all(tmp_path):
  made = folders.byte_level(["<|end|>", "<|stop|>"])
  name = dict(eos_token="<|end|>")
  one = HFTokenizer(folders.save(tmp_path / "1", made, stops=348, **name))
  assert one.stop_ids == (347, 348)
  assert HFTokenizer(folders.save(tmp_path / "2", made, **name)).stop_ids == (
    347,
  )
  alone = HFTokenizer(folders.save(tmp_path / "3", made, stops=[348]))
  assert alone.stop_ids == (348,) and alone.eos_id == 348


def test_the_pad_is_the_unknown_token_rather_than_an_eos(tmp_path):
  made = folders.sentencepiece(["<unk>", "<s>", "</s>"])
  own = dict(eos_token="</s>", unk_token="<unk>")
  assert HFTokenizer(folders.save(tmp_path, made, **own)).pad_id == 0


@pytest.mark.parametrize("name", MADE)
@hypothesis.given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_decode_inverts_encode(name, text, made):
  # A text that looks like a special token is read as one.
  hypothesis.assume(not re.search("<.*>", text, re.DOTALL))
  assert made[name].decode(made[name].encode(text)) == text


@pytest.mark.parametrize("name", MADE)
@hypothesis.given(text=st.text("ab 12=\n$\\{}"))
def test_tokens_decoded_one_by_one_join_to_the_text(name, text, made):
  tokenizer = made[name]
  assert "".join(tokenizer.decode([i]) for i in tokenizer.encode(text)) == text


def test_a_tokenizer_that_puts_a_blank_before_a_text_gives_it_back(tmp_path):
  # Its decoder drops the blank of every first token.
  made = folders.sentencepiece(["<unk>", "<s>", "</s>"], prefix="▁")
  tokenizer = HFTokenizer(folders.save(tmp_path, made, eos_token="</s>"))
  ids = tokenizer.encode("16 eggs and")
  assert tokenizer.decode(ids) == " 16 eggs and"
  assert "".join(tokenizer.decode([i]) for i in ids) == " 16 eggs and"


@pytest.mark.parametrize("name", MADE)
def test_decode_ends_before_the_first_stop_id_of_any_kind(name, made):
  tokenizer = made[name]
  for stop in tokenizer.stop_ids:
    row = np.array([*tokenizer.encode(" 9 eggs"), stop, 5, stop], np.int32)
    assert tokenizer.decode(row) == " 9 eggs"
  assert tokenizer.decode([tokenizer.eos_id]) == tokenizer.decode([]) == ""


def test_decode_skips_special_tokens_and_rows_without_a_token(made):
  tokenizer = made["llama3"]
  header = tokenizer.encode("<|start_header_id|>")
  assert header == [350]
  nine = tokenizer.encode("9")
  row = [tokenizer.pad_id, *header, *nine, tokenizer.vocab_size, 10**6, *nine]
  assert tokenizer.decode(row) == "99"
  with pytest.raises(ValueError, match="Token id -1 must be >= 0"):
    tokenizer.decode([-1])


@pytest.mark.parametrize("special", [True, False])
def test_decode_keeps_the_tags_of_thinking(special, tmp_path):
  tags = ["<think>", "</think>"]
  made = folders.byte_level(
    ["<|end|>", "<|tool|>", *(tags if special else [])],
    [] if special else tags,
  )
  tokenizer = HFTokenizer(folders.save(tmp_path, made, eos_token="<|end|>"))
  text = "<think>2 + 2</think> 4"
  assert len(tokenizer.encode("<think>")) == 1
  assert tokenizer.decode(tokenizer.encode("<|tool|>" + text)) == text


def test_half_a_character_is_decoded_to_a_mark(made):
  ids = made["chatml"].encode("漢")
  assert len(ids) > 1
  assert "\ufffd" in made["chatml"].decode(ids[:1])


# Prompts.


@pytest.mark.parametrize("name", ["chatml", "llama3", "gemma"])
def test_a_rendered_prompt_has_the_tokens_of_its_template(name, made):
  tokenizer = made[name]
  text = tokenizer.render(USER)
  assert "How many eggs?" in text
  # What transformers makes of the conversation in one go.
  options = {"date_string": "26 Jul 2024"} if name == "llama3" else {}
  expected = tokenizer._tokenizer.apply_chat_template(
    USER, add_generation_prompt=True, return_dict=False, **options
  )
  assert tokenizer.encode(text) == expected


def test_a_template_ends_where_the_model_is_to_speak(made):
  assert made["chatml"].render(USER).endswith("<|im_start|>assistant\n")
  assert made["gemma"].render(USER).endswith("<start_of_turn>model\n")


def test_a_prompt_begins_with_its_own_bos_exactly_once(made, tmp_path):
  for name, bos in (("llama3", 347), ("gemma", 2)):
    tokenizer = made[name]
    for template in ("chat", "plain"):
      again = tokenizer.render(USER, template=template)
      ids = tokenizer.encode(again)
      assert ids[0] == bos and ids.count(bos) == 1
    assert tokenizer.encode("9 eggs")[0] != bos
  # GPT-2 has a bos, too, but puts it before nothing.
  assert made["plain"].render(USER, template="plain") == "How many eggs?"


def test_a_template_that_forgets_the_bos_gets_it(tmp_path):
  folder = folders.llama3(tmp_path)
  (folder / "chat_template.jinja").write_text("{{ messages[0].content }}:")
  text = HFTokenizer(folder).render(USER)
  assert text == "<|begin_of_text|>How many eggs?:"


def test_a_system_message_is_put_before_messages_that_have_none(made):
  text = made["chatml"].render(USER, system="Be brief.")
  assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
  own = [{"role": "system", "content": "Be long."}, *USER]
  assert "Be brief." not in made["chatml"].render(own, system="Be brief.")
  plain = made["plain"].render(USER, system="Be brief.", template="plain")
  assert plain == "Be brief.\n\nHow many eggs?"


def test_a_template_that_refuses_a_message_is_quoted(made):
  with pytest.raises(ValueError, match="gemma.*System role not supported"):
    made["gemma"].render(USER, system="Be brief.")


def test_thinking_is_turned_off_where_the_template_knows_of_it(made):
  shut = "<think>\n\n</think>\n\n"
  assert made["chatml"].render(USER, thinking=False).endswith(shut)
  for thinking in (None, True):
    assert shut not in made["chatml"].render(USER, thinking=thinking)
  with pytest.raises(ValueError, match="thinking = True, but .* knows nothing"):
    made["gemma"].render(USER, thinking=True)
  with pytest.raises(ValueError, match="thinking = False, but"):
    made["chatml"].render(USER, thinking=False, template="plain")


def test_without_a_template_the_plain_text_must_be_asked_for(made):
  assert not made["plain"].has_template and made["gemma"].has_template
  with pytest.raises(ValueError, match='no chat template; .*template="plain"'):
    made["plain"].render(USER)
  with pytest.raises(ValueError, match="'jinja' must be 'chat' or 'plain'"):
    made["plain"].render(USER, template="jinja")


def test_prompts_do_not_depend_on_the_day(made, tmp_path):
  assert "Today: 26 Jul 2024" in made["llama3"].render(USER)
  folder = folders.chatml(tmp_path)
  text = "{{ strftime_now('%Y') }}{{ messages[0].content }}"
  (folder / "chat_template.jinja").write_text(text)
  with pytest.raises(ValueError, match="writes the date of today"):
    HFTokenizer(folder).render(USER)


# Batches.


@pytest.mark.parametrize("name", MADE)
def test_masks_tell_padding_even_if_the_pad_is_the_eos(name, made):
  tokenizer = made[name]
  rows = [tasks.Problem(text, "", ("9",), 0) for text in ("eggs", "$x$ eggs")]
  batch = encode.demonstration_batch(rows, tokenizer, 0, 0, 8, 4)
  shorter, nine = len(tokenizer.encode("eggs")), tokenizer.encode("9")
  assert batch["prompt_mask"][0].sum() == shorter
  assert (batch["tokens"][0, : 8 - shorter] == tokenizer.pad_id).all()
  assert batch["mask"].tolist() == [[True, True, False, False]] * 2
  for row in batch["tokens"]:
    assert row[8:].tolist() == [*nine, tokenizer.eos_id] + 2 * [
      tokenizer.pad_id
    ]
    assert tokenizer.decode(row[8:]) == "9"


@pytest.mark.parametrize("name", MADE)
def test_the_letters_of_a_sloppy_teacher_end_nothing(name, made):
  tokenizer = made[name]
  rows = [tasks.Problem("eggs", "", ("9",), 0)] * 2000
  args = (rows, tokenizer, 0, 0, 8, 2)
  typos = encode.demonstration_batch(*args, typos=1.0)["tokens"][:, 8]
  special = {tokenizer.pad_id, *tokenizer.stop_ids}
  assert not special & set(typos.tolist())
  assert typos.min() >= 0 and typos.max() < tokenizer.vocab_size
  # Both ends of what is left come up, so nothing is left out.
  free = sorted(set(range(tokenizer.vocab_size)) - special)
  assert len(set(typos.tolist())) > 0.95 * len(free)


def test_threads_may_use_one_tokenizer_at_once(made):
  tokenizer = made["chatml"]
  texts = [f"{i} eggs and {i * i} left" for i in range(300)]
  render = lambda text: tokenizer.render([{"role": "user", "content": text}])
  work = lambda text: tokenizer.decode(tokenizer.encode(render(text)))
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert list(pool.map(work, texts)) == list(map(work, texts))


# Folders.


OFFLINE = """
import os, socket, sys
def refuse(*args, **options):
  os._exit(3)
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
sys.modules["torch"] = None  # as if it were not installed
from rlvr_jax.tasks.hf_tokenizer import HFTokenizer
print(HFTokenizer(sys.argv[1]).encode("eggs"))
"""


def test_a_folder_is_read_without_network_and_torch(made):
  keep = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
  process = subprocess.run(
    [sys.executable, "-c", OFFLINE, str(made["llama3"].folder)],
    cwd=pathlib.Path(__file__).parent.parent,
    env=keep,
    capture_output=True,
    text=True,
  )
  ids = made["llama3"].encode("eggs")
  assert process.stdout == f"{ids}\n", process.stderr


def test_a_folder_that_is_not_there_is_no_name_to_download():
  with pytest.raises(ValueError, match="no tokenizer folder 'org/model'"):
    HFTokenizer("org/model")


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_tokenizer_that_is_code_is_refused_and_not_run(
  name, listed, tmp_path
):
  folder = folders.chatml(tmp_path / "model")
  canary = tmp_path / "canary"
  code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
  (folder / "own.py").write_text(code)
  classes = ["own.Slow", "own.Fast"]
  path = folder / name
  values = json.loads(path.read_text()) if path.exists() else {}
  values["auto_map"] = classes if listed else {"AutoTokenizer": classes}
  path.write_text(json.dumps(values))
  with pytest.raises(ValueError, match=f"{name}.*own.Fast.*never run"):
    HFTokenizer(folder)
  assert not canary.exists()


def test_code_of_the_model_itself_is_no_matter_of_the_tokenizer(tmp_path):
  folder = folders.chatml(tmp_path)
  text = json.dumps({"auto_map": {"AutoModelForCausalLM": "own.Model"}})
  (folder / "config.json").write_text(text)
  assert HFTokenizer(folder).eos_id == 349


@pytest.mark.parametrize(
  ("name", "text", "message"),
  [
    ("tokenizer.json", "{", "cannot be read"),
    ("tokenizer_config.json", "{", "tokenizer_config.json.* is not JSON"),
    ("generation_config.json", "[]", "must hold an object"),
    ("generation_config.json", '{"eos_token_id": [1, 999]}', "999.*0, 352"),
    ("generation_config.json", '{"eos_token_id": "x"}', "must be token ids"),
  ],
)
def test_a_damaged_file_of_a_tokenizer_is_named(name, text, message, tmp_path):
  folder = folders.chatml(tmp_path)
  (folder / name).write_text(text)
  with pytest.raises(ValueError, match=message):
    HFTokenizer(folder)


def test_a_folder_without_a_tokenizer_is_told(tmp_path):
  with pytest.raises(ValueError, match="cannot be read"):
    HFTokenizer(tmp_path)


def test_a_tokenizer_without_an_end_is_told(tmp_path):
  folder = folders.save(tmp_path, folders.byte_level(["<|x|>"]))
  with pytest.raises(ValueError, match="no eos token, so no response"):
    HFTokenizer(folder)
