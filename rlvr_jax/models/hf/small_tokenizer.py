"""Tokenizers of bytes with the special tokens and chat formats of families."""

import json
import pathlib
from typing import NamedTuple

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers


class Chat(NamedTuple):
  """The special tokens of a family and how it writes a conversation."""

  special: tuple[str, ...]
  bos: str | None
  ends: tuple[str, ...]  # the first one ends a turn
  pad: str | None
  template: str
  tags: tuple[str, ...] = ()  # whole tokens that are text all the same


_CHATML = (
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
  "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CHATML_THINKING = _CHATML + (
  "{% if add_generation_prompt and enable_thinking is defined and not "
  "enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
_HEADERS = (
  "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}"
  "<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
  "{% if add_generation_prompt %}<|start_header_id|>assistant"
  "<|end_header_id|>\n\n{% endif %}"
)
_INSTRUCT = (
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
  " {{ m.content }}{{ eos_token }}{% else %}[INST] {{ m.content }}[/INST]"
  "{% endif %}{% endfor %}"
)
_TURNS = (
  "{{ bos_token }}{% for m in messages %}<start_of_turn>"
  "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
  "<end_of_turn>\n{% endfor %}"
  "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")
_LLAMA = (
  "<|begin_of_text|>",
  "<|end_of_text|>",
  "<|start_header_id|>",
  "<|end_header_id|>",
  "<|eot_id|>",
)
_GEMMA = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")

CHATS = {
  "chatml": Chat(_QWEN, None, _QWEN_ENDS, "<|endoftext|>", _CHATML),
  "chatml_thinking": Chat(
    _QWEN,
    None,
    _QWEN_ENDS,
    "<|endoftext|>",
    _CHATML_THINKING,
    ("<think>", "</think>"),
  ),
  "headers": Chat(
    _LLAMA,
    "<|begin_of_text|>",
    ("<|eot_id|>", "<|end_of_text|>"),
    None,
    _HEADERS,
  ),
  "instruct": Chat(
    ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
    "<s>",
    ("</s>",),
    None,
    _INSTRUCT,
  ),
  "turns": Chat(_GEMMA, "<bos>", ("<end_of_turn>", "<eos>"), "<pad>", _TURNS),
}


def write(folder: pathlib.Path, chat: str) -> int:
  """Writes tokenizer files and generation_config.json.

  Args:
    folder: that exists.
    chat: one of `CHATS`.

  Returns:
    The number of token ids.
  """
  how = CHATS[chat]
  letters = sorted(pre_tokenizers.ByteLevel.alphabet())
  core = tokenizers.Tokenizer(
    models.BPE({letter: i for i, letter in enumerate(letters)}, merges=[])
  )
  core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  core.decoder = decoders.ByteLevel()
  core.add_special_tokens(list(how.special))
  core.add_tokens(list(how.tags))
  named = dict(bos_token=how.bos, eos_token=how.ends[0], pad_token=how.pad)
  tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=core,
    chat_template=how.template,
    **{k: v for k, v in named.items() if v is not None},
  )
  tokenizer.save_pretrained(folder)
  _write_generation(folder, tokenizer, how)
  return len(tokenizer)


def _write_generation(folder, tokenizer, how) -> None:
  number = tokenizer.convert_tokens_to_ids
  ids = {"eos_token_id": [number(token) for token in how.ends]}
  if how.bos is not None:
    ids["bos_token_id"] = number(how.bos)
  if how.pad is not None:
    ids["pad_token_id"] = number(how.pad)
  (folder / "generation_config.json").write_text(json.dumps(ids, indent=2))
