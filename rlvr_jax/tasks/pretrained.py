"""Reads a tokenizer from a folder: no network, no code from the folder."""

import pathlib
from collections.abc import Container
from typing import TYPE_CHECKING

from rlvr_jax.json_file import read_object
from rlvr_jax.models.hf import trust

if TYPE_CHECKING:
  from transformers import PreTrainedTokenizerBase

# Names of tokens that exist to fill, tried in this order.
_PADS = (
  "<|finetune_right_pad_id|>",
  "<pad>",
  "<|pad|>",
  "[PAD]",
  "<|endoftext|>",
)


def load(folder: pathlib.Path) -> "PreTrainedTokenizerBase":
  """Returns the tokenizer of a folder.

  Args:
    folder: with tokenizer.json, tokenizer_config.json and the like.

  Raises:
    ValueError: there is no such folder, a link leads out of it, or its
      tokenizer is code, has no fast form or cannot be read.
  """
  if not folder.is_dir():
    raise ValueError(
      f"There is no tokenizer folder {str(folder)!r}; give the path of a local "
      "folder with tokenizer.json. Nothing is downloaded."
    )
  trust.check_links(folder)
  _refuse_code(folder)
  # Takes seconds, so only those wait who read a tokenizer.
  from transformers import AutoTokenizer

  try:
    found = AutoTokenizer.from_pretrained(
      folder, local_files_only=True, trust_remote_code=False
    )
  # Files of strangers break in many ways, and libraries raise what they like.
  except Exception as error:
    raise ValueError(
      f"The tokenizer in {str(folder)!r} cannot be read: {error}"
    ) from error
  if not found.is_fast:
    raise ValueError(
      f"The tokenizer in {str(folder)!r} is a {type(found).__name__}, which "
      "has no tokenizer.json; convert it once with transformers and save it."
    )
  return found


def stop_ids(
  folder: pathlib.Path, tokenizer: "PreTrainedTokenizerBase", size: int
) -> tuple[int, ...]:
  """Returns the ids that end a response, that of the tokenizer's eos first.

  Args:
    folder: its generation_config.json may name more of them.
    tokenizer: of the folder.
    size: number of token ids.

  Raises:
    ValueError: there is none, or one is no token id.
  """
  found, path = [tokenizer.eos_token_id], folder / "generation_config.json"
  given = _read(path).get("eos_token_id")
  found += given if isinstance(given, list) else [given]
  found = list(dict.fromkeys(token for token in found if token is not None))
  for token in found:
    if not isinstance(token, int) or not 0 <= token < size:
      raise ValueError(
        f"eos_token_id = {given!r} in {str(path)!r} must be token ids in "
        f"[0, {size}); mend that file."
      )
  if not found:
    raise ValueError(
      f"The tokenizer in {str(folder)!r} has no eos token, so no response "
      "would end; name one as eos_token in tokenizer_config.json or as "
      "eos_token_id in generation_config.json."
    )
  return tuple(found)


def pad_id(
  tokenizer: "PreTrainedTokenizerBase", stops: Container[int], first: int
) -> int:
  """Returns the id that fills: the tokenizer's own, if it names one.

  Else a token that exists to fill, else the unknown token, else the eos: as
  long as there is another choice, it ends no response.

  Args:
    tokenizer: of a folder.
    stops: ids that end a response.
    first: the eos.
  """
  if tokenizer.pad_token_id is not None:
    return tokenizer.pad_token_id
  known = tokenizer.get_vocab()
  choices = [known.get(name) for name in _PADS] + [tokenizer.unk_token_id]
  free = [c for c in choices if c is not None and c not in stops]
  return free[0] if free else first


def _refuse_code(folder: pathlib.Path) -> None:
  for name in ("tokenizer_config.json", "config.json"):
    code = _read(folder / name).get("auto_map")
    # The old form, a list, is always of a tokenizer.
    if isinstance(code, list) or "AutoTokenizer" in (code or ()):
      raise ValueError(
        f"{str(folder / name)!r} says that its tokenizer is the code "
        f"{code!r}, which is never run; use a model whose tokenizer is a "
        "tokenizer.json, or convert it to one and remove auto_map."
      )


def _read(path: pathlib.Path) -> dict:
  """The object in a file that need not be there."""
  return read_object(path) if path.exists() else {}
