"""Folders with small tokenizers, as pretrained models have them."""

import json
import pathlib
from collections.abc import Iterable

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

LINES = [
  "Janet has 16 eggs and sells 9 of them. How many are left?",
  "What is the value of $x$ if $2^8 = 4^x$? The answer is \\boxed{4}.",
  "Für jede Zahl gilt: 1 + 1 = 2, und zwar immer.",
]

CHATML = (
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
  "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
  "{% if enable_thinking is defined and not enable_thinking %}"
  "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
LLAMA3 = (
  "{{ bos_token }}{% if not date_string is defined %}"
  "{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
  "Today: {{ date_string }}<|eot_id|>{% for m in messages %}"
  "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}"
  "<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
  "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
  "{{ raise_exception('System role not supported') }}{% endif %}"
  "<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
  "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def byte_level(
  special: Iterable[str], added: Iterable[str] = ()
) -> tokenizers.Tokenizer:
  """A byte-level BPE of LINES, as of GPT-2, Llama 3 and Qwen."""
  made = tokenizers.Tokenizer(models.BPE())
  made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  made.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=400,
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  made.train_from_iterator(LINES, trainer)
  made.add_special_tokens(list(special))
  made.add_tokens(list(added))
  return made


def sentencepiece(
  special: Iterable[str], prefix: str | None = None
) -> tokenizers.Tokenizer:
  """A BPE with bytes for what it does not know, as of Gemma and Llama 2.

  Args:
    special: tokens that come first, so <pad>, <eos>, <bos>, <unk> have the
      ids 0 to 3.
    prefix: "▁" puts a blank before every text and takes one when decoding.
  """
  trained = tokenizers.Tokenizer(models.BPE())
  trained.normalizer = normalizers.Replace(" ", "▁")
  trained.train_from_iterator(
    LINES, trainers.BpeTrainer(vocab_size=200, show_progress=False)
  )
  model = json.loads(trained.to_str())["model"]
  pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
  pieces += [p for p in model["vocab"] if p not in pieces]
  made = tokenizers.Tokenizer(
    models.BPE(
      vocab={piece: i for i, piece in enumerate(pieces)},
      merges=[tuple(m) for m in model["merges"]],
      unk_token="<unk>",
      byte_fallback=True,
    )
  )
  blank, back = normalizers.Replace(" ", "▁"), decoders.Replace("▁", " ")
  steps = [back, decoders.ByteFallback(), decoders.Fuse()]
  if prefix:
    made.normalizer = normalizers.Sequence([normalizers.Prepend(prefix), blank])
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
  else:
    made.normalizer, made.decoder = blank, decoders.Sequence(steps)
  made.add_special_tokens(list(special))
  return made


def save(
  folder: pathlib.Path,
  tokenizer: tokenizers.Tokenizer,
  template: str | None = None,
  stops: int | list[int] | None = None,
  **names: str,
) -> pathlib.Path:
  """Writes the folder of a model without its weights.

  Args:
    folder: made if missing.
    tokenizer: as of `byte_level`.
    template: of conversations.
    stops: eos_token_id of generation_config.json; None writes no such file.
    **names: bos_token, eos_token, pad_token, unk_token.

  Returns:
    The folder.
  """
  fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
  fast.chat_template = template
  fast.save_pretrained(folder)
  if stops is not None:
    text = json.dumps({"eos_token_id": stops})
    (folder / "generation_config.json").write_text(text)
  return folder


def chatml(folder: pathlib.Path) -> pathlib.Path:
  """Like Qwen 3: no bos, thinking tags that are no special tokens."""
  names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
  made = byte_level(names, ("<think>", "</think>"))
  ids = [made.token_to_id(name) for name in (names[2], names[0])]
  own = dict(eos_token=names[2], pad_token=names[0])
  return save(folder, made, CHATML, ids, **own)


def llama3(folder: pathlib.Path) -> pathlib.Path:
  """Like Llama 3: puts a bos before every text, names no pad."""
  names = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
  pad, head = "<|finetune_right_pad_id|>", "<|start_header_id|>"
  made = byte_level([*names, head, "<|end_header_id|>", pad])
  bos = made.token_to_id(names[0])
  made.post_processor = tokenizers.processors.TemplateProcessing(
    single=f"{names[0]} $A", special_tokens=[(names[0], bos)]
  )
  ids = [made.token_to_id(name) for name in names[1:]]
  own = dict(bos_token=names[0], eos_token=names[2])
  return save(folder, made, LLAMA3, ids, **own)


def gemma(folder: pathlib.Path) -> pathlib.Path:
  """Like Gemma: a bos, its turns end with another token than its texts."""
  names = ("<pad>", "<eos>", "<bos>", "<unk>")
  made = sentencepiece([*names, "<start_of_turn>", "<end_of_turn>"])
  made.post_processor = tokenizers.processors.TemplateProcessing(
    single="<bos> $A", special_tokens=[("<bos>", 2)]
  )
  own = ("pad_token", "eos_token", "bos_token", "unk_token")
  return save(folder, made, GEMMA, [1, 5], **dict(zip(own, names)))


def plain(folder: pathlib.Path) -> pathlib.Path:
  """Like GPT-2: no template, and one special token for everything."""
  end = "<|endoftext|>"
  made = byte_level([end])
  own = dict(bos_token=end, eos_token=end, unk_token=end)
  return save(folder, made, **own)
