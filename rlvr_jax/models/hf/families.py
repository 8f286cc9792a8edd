"""From the config.json of a published model to the choices of the decoder.

transformers reads the file, old and new spellings alike; what is read from it
stands here, family by family, and what the decoder does not do is refused.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from rlvr_jax.json_file import read_object
from rlvr_jax.models.config import DecoderConfig, Llama3Scaling, Rope
from rlvr_jax.models.hf import trust

Fields = dict[str, object]
Config = "transformers.PreTrainedConfig"  # imported only when it is needed


def _qwen2(c: Config) -> Fields:
  return dict(qkv_bias=True, **_windows(c))


def _qwen3(c: Config) -> Fields:
  _only(c, attention_bias=False)
  return dict(qk_norm=True, **_windows(c))


def _llama(c: Config) -> Fields:
  _only(c, attention_bias=False, mlp_bias=False)
  return {}


def _mistral(c: Config) -> Fields:
  if c.sliding_window is None:
    return {}
  windowed = (True,) * c.num_hidden_layers
  return dict(window=c.sliding_window, windowed=windowed)


def _gemma(c: Config) -> Fields:
  """What Gemma 2 and 3 share."""
  _only(c, attention_bias=False)
  if c.use_bidirectional_attention:
    _only(c, use_bidirectional_attention=False)
  return dict(
    norm_offset=1.0,
    post_norms=True,
    activation="gelu_tanh",
    scaled_embedding=True,
    attention_scale=c.query_pre_attn_scalar**-0.5,
    logit_soft_cap=c.final_logit_softcapping,
    **_windows(c),
  )


def _gemma2(c: Config) -> Fields:
  return dict(attention_soft_cap=c.attn_logit_softcapping, **_gemma(c))


def _gemma3(c: Config) -> Fields:
  _only(c, attn_logit_softcapping=None)
  ropes = c.rope_parameters
  return dict(
    qk_norm=True,
    rope=_rope(ropes["full_attention"]),
    windowed_rope=_rope(ropes["sliding_attention"]),
    **_gemma(c),
  )


class Family(NamedTuple):
  """A family of published models."""

  architecture: str  # what others choose their own code by
  fields: Callable[[Config], Fields]  # what it does unlike the others


# By the model_type of config.json.
FAMILIES: dict[str, Family] = {
  "qwen2": Family("Qwen2ForCausalLM", _qwen2),
  "qwen3": Family("Qwen3ForCausalLM", _qwen3),
  "llama": Family("LlamaForCausalLM", _llama),
  "mistral": Family("MistralForCausalLM", _mistral),
  "gemma2": Family("Gemma2ForCausalLM", _gemma2),
  "gemma3_text": Family("Gemma3ForCausalLM", _gemma3),
}
_ACTIVATIONS = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}


def _windows(c: Config) -> Fields:
  unknown = set(c.layer_types) - {"sliding_attention", "full_attention"}
  if unknown:
    raise ValueError(
      f"layers of the types {sorted(unknown)} are not supported."
    )
  windowed = tuple(kind == "sliding_attention" for kind in c.layer_types)
  if not any(windowed):
    return {}
  return dict(window=c.sliding_window, windowed=windowed)


def _only(c: Config, **values: object) -> None:
  """Refuses a configuration with another value of a field."""
  for name, value in values.items():
    if getattr(c, name) != value:
      raise ValueError(
        f"{name} = {getattr(c, name)!r}, but only {value!r} is supported for "
        f"{c.model_type!r}."
      )


def _rope(how: dict) -> Rope:
  kind, theta = how.get("rope_type", "default"), float(how["rope_theta"])
  if how.get("partial_rotary_factor", 1.0) != 1.0:
    raise ValueError("a rotary embedding of a part of a head is not supported.")
  if kind == "default":
    return Rope(theta)
  if kind == "linear":
    return Rope(theta, factor=float(how["factor"]))
  if kind == "llama3":
    return Rope(
      theta,
      llama3=Llama3Scaling(
        how["factor"],
        how["low_freq_factor"],
        how["high_freq_factor"],
        how["original_max_position_embeddings"],
      ),
    )
  raise ValueError(
    f"rope_type = {kind!r} is not supported; known are default, linear and "
    "llama3."
  )


def read_config(folder: str | pathlib.Path, **fields: object) -> DecoderConfig:
  """The decoder that the config.json of a folder describes.

  Args:
    folder: with config.json.
    **fields: of `DecoderConfig` that no file decides: dtype, param_dtype,
      remat, lora.

  Raises:
    ValueError: the file is missing or broken, asks for code of its own, is of
      another family, or wants what the decoder does not do or no memory holds;
      a link leads out of the folder; or one of the fields is refused by
      `DecoderConfig`.
  """
  path = pathlib.Path(folder) / "config.json"
  trust.check_links(path.parent)
  values = read_object(path)
  trust.check_sizes(path, values)
  if "auto_map" in values:
    raise ValueError(
      f"{path} asks to run Python code that comes with the model (auto_map); "
      "that is never done. Use a model of a family that is built in."
    )
  family = values.get("model_type")
  if family not in FAMILIES:
    raise ValueError(
      f"{path}: model_type = {family!r} is not supported; known are "
      f"{sorted(FAMILIES)}."
    )
  # Takes a second, which runs of small decoders need not wait for.
  import transformers

  try:
    config = transformers.AutoConfig.for_model(**values)
    sizes = _decoder_config(config)
  except Exception as error:  # transformers has errors of many kinds.
    raise ValueError(f"{path} cannot be used: {error}") from error
  # A wrong field is the caller's fault, not that of the file.
  return dataclasses.replace(sizes, **fields)


def check_vocabulary(
  tokens: int, config: DecoderConfig, folder: str | pathlib.Path
) -> None:
  """Refuses a tokenizer that can write what the model cannot read.

  A model may have more rows than its tokenizer has ids, but not fewer.

  Args:
    tokens: ids of the tokenizer.
    config: of the decoder.
    folder: of both, for the message.

  Raises:
    ValueError: there are too many ids.
  """
  if tokens > config.vocabulary:
    raise ValueError(
      f"the tokenizer in {folder} has {tokens} ids and the model's embedding "
      f"{config.vocabulary} rows; give the tokenizer that belongs to the model."
    )


def check_positions(prompt: int, response: int, config: DecoderConfig) -> None:
  """Refuses rows that are longer than the model was made for.

  Args:
    prompt: tokens of the longest prompt.
    response: tokens of the longest response.
    config: of the decoder.

  Raises:
    ValueError: they are more than its positions.
  """
  if config.positions and prompt + response > config.positions:
    raise ValueError(
      f"prompts of {prompt} and responses of {response} tokens together are "
      f"more than the {config.positions} positions of the model; shorten one."
    )


def _decoder_config(c: Config) -> DecoderConfig:
  heads = c.num_attention_heads
  activation = getattr(c, "hidden_act", None) or c.hidden_activation
  if activation not in _ACTIVATIONS:
    raise ValueError(f"activation {activation!r}; known: {[*_ACTIVATIONS]}.")
  common = dict(
    vocabulary=c.vocab_size,
    width=c.hidden_size,
    layers=c.num_hidden_layers,
    heads=heads,
    kv_heads=c.num_key_value_heads,
    head_dim=getattr(c, "head_dim", None) or c.hidden_size // heads,
    hidden=c.intermediate_size,
    norm_epsilon=c.rms_norm_eps,
    positions=c.max_position_embeddings,
    activation=_ACTIVATIONS[activation],
    scaled_embedding=False,
    tied=c.tie_word_embeddings,
  )
  if "rope_theta" in c.rope_parameters:
    common["rope"] = _rope(c.rope_parameters)
  return DecoderConfig(**common | FAMILIES[c.model_type].fields(c))
