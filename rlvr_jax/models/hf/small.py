"""Small random models of every family, as folders like the published ones.

For trying a configuration on a laptop and for tests: the same config.json,
tokenizer files, chat template and weight files, with random weights.
"""

import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import transformers

from rlvr_jax import rng
from rlvr_jax.models.hf import small_tokenizer
from rlvr_jax.models.hf.families import read_config
from rlvr_jax.models.hf.write import write_folder
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.types import PyTree

_SIZES = dict(
  hidden_size=64,
  intermediate_size=128,
  num_hidden_layers=4,
  num_attention_heads=4,
  num_key_value_heads=2,
  max_position_embeddings=4096,
)
_LLAMA3 = dict(
  rope_type="llama3",
  rope_theta=500_000.0,
  factor=8.0,
  low_freq_factor=1.0,
  high_freq_factor=4.0,
  original_max_position_embeddings=512,
)
_GEMMA = dict(head_dim=32, query_pre_attn_scalar=24, sliding_window=8)

# name: (model_type, chat format, what is not the family's default)
SMALL: dict[str, tuple[str, str, dict[str, object]]] = {
  "qwen2": ("qwen2", "chatml", dict(tie_word_embeddings=True)),
  "qwen2_untied": ("qwen2", "chatml", dict(tie_word_embeddings=False)),
  "qwen3": (
    "qwen3",
    "chatml_thinking",
    dict(tie_word_embeddings=True, head_dim=32),
  ),
  "qwen3_untied": (
    "qwen3",
    "chatml_thinking",
    dict(tie_word_embeddings=False, head_dim=16),
  ),
  "llama3": ("llama", "headers", dict(rope_parameters=_LLAMA3)),
  "mistral": ("mistral", "instruct", dict(sliding_window=6, head_dim=32)),
  "gemma2": ("gemma2", "turns", _GEMMA),
  "gemma3": ("gemma3_text", "turns", _GEMMA | dict(sliding_window_pattern=3)),
}
# Rows of the embedding beyond the tokenizer's ids, as published models have.
_MULTIPLE = 64


def write(folder: pathlib.Path, name: str, seed: int = 0) -> None:
  """Writes a small random model with its tokenizer.

  Args:
    folder: to write; must not exist.
    name: one of `SMALL`.
    seed: of the weights.

  Raises:
    ValueError: the name is not known, or the folder exists.
  """
  if name not in SMALL:
    raise ValueError(f"no small model {name!r}; known are {sorted(SMALL)}.")
  family, chat, values = SMALL[name]
  with tempfile.TemporaryDirectory() as temporary:
    source = pathlib.Path(temporary)
    tokens = small_tokenizer.write(source, chat)
    config = transformers.AutoConfig.for_model(
      family,
      **_SIZES | values,
      vocab_size=-(-tokens // _MULTIPLE) * _MULTIPLE,
      **json.loads((source / "generation_config.json").read_text()),
    )
    settings = config.to_dict() | {"dtype": "float32"}
    (source / "config.json").write_text(json.dumps(settings))
    sizes = read_config(source)
    params = _random(Transformer(sizes), jax.random.key(seed))
    write_folder(params, sizes, source, folder)


def _random(model: Transformer, key: jax.Array) -> PyTree:
  """Initial weights, moved so that no bias is 0 and no norm is 1."""

  def moved(path, x):
    name = jax.tree_util.keystr(path)
    noise = jax.random.normal(rng.named(key, name), x.shape)
    return x + jnp.asarray(0.1 * noise, x.dtype)

  return jax.tree_util.tree_map_with_path(moved, model.init(key))
