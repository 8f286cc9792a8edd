"""Which tensor of a published checkpoint is which weight of the decoder.

A linear layer is kept as [out, in] in the files; the decoder keeps [in, out]
with heads apart and all layers stacked in front.
"""

import math
from typing import NamedTuple

import jax
from jax.sharding import PartitionSpec as P

from rlvr_jax.models.config import DecoderConfig

Array = jax.Array

_LINEAR = {
  "query": "self_attn.q_proj",
  "key": "self_attn.k_proj",
  "value": "self_attn.v_proj",
  "output": "self_attn.o_proj",
  "gate": "mlp.gate_proj",
  "up": "mlp.up_proj",
  "down": "mlp.down_proj",
}
_HEAD_NORMS = {"query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm"}
_NORMS = {
  "attention_norm": "input_layernorm",
  "feed_norm": "post_attention_layernorm",
}
_FOUR_NORMS = {
  "attention_norm": "input_layernorm",
  "attention_post_norm": "post_attention_layernorm",
  "feed_norm": "pre_feedforward_layernorm",
  "feed_post_norm": "post_feedforward_layernorm",
}


class Tensor(NamedTuple):
  """One tensor of the files and the weight, or layer of one, that it is."""

  name: str  # in the files
  path: tuple[str, ...]  # in the parameters
  layer: int | None  # None: not of a layer
  shape: tuple[int, ...]  # of the weight, without the layers
  file_shape: tuple[int, ...]
  inner: int = 0  # leading axes of the weight that take the input, if linear

  @property
  def kind(self) -> "Tensor":
    """What all layers share: how the tensor becomes the weight."""
    return self._replace(name="", layer=None)

  def to_weight(self, x: Array) -> Array:
    """The weight, f[*shape], of a tensor of the files."""
    return (x.T if self.inner else x).reshape(self.shape)

  def to_file(self, weight: Array) -> Array:
    """The tensor of the files, f[*file_shape], of a weight."""
    if not self.inner:
      return weight.reshape(self.file_shape)
    return weight.reshape(self.file_shape[::-1]).T

  def file_spec(self, spec: P) -> P:
    """How to split the tensor so that the weight comes out split by `spec`."""
    axes = (*spec, *[None] * len(self.shape))[: len(self.shape)]
    if not self.inner:
      return P(*axes) if self.shape == self.file_shape else P(axes[0])
    first = lambda part: next((axis for axis in part if axis), None)
    return P(first(axes[self.inner :]), first(axes[: self.inner]))


def tensors(config: DecoderConfig) -> list[Tensor]:
  """Every tensor a checkpoint of this decoder must hold, and no other.

  Args:
    config: of the decoder; adapters are not in a checkpoint.
  """
  table = (config.vocabulary, config.width)
  found = [
    Tensor("model.embed_tokens.weight", ("embedding",), None, table, table),
    Tensor("model.norm.weight", ("final_norm",), None, table[1:], table[1:]),
  ]
  if not config.tied:
    found.append(Tensor("lm_head.weight", ("head",), None, table, table))
  for layer in range(config.layers):
    found += _of_layer(config, layer)
  return found


def _of_layer(c: DecoderConfig, layer: int) -> list[Tensor]:
  shapes, size = _shapes(c), math.prod

  def one(weight, name, file_shape, inner=0):
    full = f"model.layers.{layer}.{name}"
    path, shape = ("blocks", weight), shapes[weight]
    return Tensor(full, path, layer, shape, file_shape, inner)

  def linear(weight, inner):
    shape = shapes[weight]
    file_shape = size(shape[inner:]), size(shape[:inner])
    return one(weight, f"{_LINEAR[weight]}.weight", file_shape, inner)

  found = [linear(w, 2 if w == "output" else 1) for w in _LINEAR]
  norms = _FOUR_NORMS if c.post_norms else _NORMS
  norms = norms | (_HEAD_NORMS if c.qk_norm else {})
  found += [one(w, f"{name}.weight", shapes[w]) for w, name in norms.items()]
  for w in ("query", "key", "value") if c.qkv_bias else ():
    bias = f"{w}_bias"
    found.append(one(bias, f"{_LINEAR[w]}.bias", (size(shapes[bias]),)))
  return found


def _shapes(c: DecoderConfig) -> dict[str, tuple[int, ...]]:
  """Shapes of the weights of one layer."""
  d, h, f = c.width, c.head_dim, c.hidden
  norms = dict.fromkeys(_FOUR_NORMS, (d,)) | dict.fromkeys(_HEAD_NORMS, (h,))
  return norms | {
    "query": (d, c.heads, h),
    "key": (d, c.kv_heads, h),
    "value": (d, c.kv_heads, h),
    "output": (c.heads, h, d),
    "gate": (d, f),
    "up": (d, f),
    "down": (f, d),
    "query_bias": (c.heads, h),
    "key_bias": (c.kv_heads, h),
    "value_bias": (c.kv_heads, h),
  }
