"""Sizes and choices of a decoder, enough for the families it can load.

Every field has the value of the small decoder of the experiments as default;
what a family of published models does otherwise is one field.
"""

import dataclasses
from typing import Literal, get_args

Dtype = Literal["float32", "bfloat16"]
Remat = Literal["none", "selective", "full"]
Activation = Literal["silu", "gelu_tanh"]

# The matrices of a block, which adapters may be put on.
MATRICES = ("query", "key", "value", "output", "gate", "up", "down")


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
  """Longer waves turn slower, short ones as before (Llama 3.1).

  Attributes:
    factor: by which the slow waves are stretched.
    low: waves longer than original / low are stretched whole.
    high: waves shorter than original / high are left.
    original: positions of the model before it was stretched.
  """

  factor: float
  low: float
  high: float
  original: int


@dataclasses.dataclass(frozen=True)
class Rope:
  """Rotary position embedding.

  Attributes:
    theta: base of the wave lengths.
    factor: positions are divided by it (linear scaling).
    llama3: how long waves are stretched, or None.
  """

  theta: float = 10_000.0
  factor: float = 1.0
  llama3: Llama3Scaling | None = None


@dataclasses.dataclass(frozen=True)
class Lora:
  """Low-rank adapters: a matrix W acts as W + (alpha / rank) A B.

  Attributes:
    rank: columns of A and rows of B.
    alpha: strength.
    targets: which of `MATRICES` have adapters.

  Raises:
    ValueError: rank below 1, or a target that is no matrix.
  """

  rank: int
  alpha: float
  targets: tuple[str, ...] = MATRICES

  def __post_init__(self):
    unknown = [name for name in self.targets if name not in MATRICES]
    if self.rank < 1 or unknown or not self.targets:
      raise ValueError(
        f"lora with rank = {self.rank} and targets = {self.targets}; rank must "
        f"be >= 1 and targets some of {MATRICES}."
      )

  @property
  def scale(self) -> float:
    """The factor of A B."""
    return self.alpha / self.rank


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
  """Sizes and choices of a decoder.

  Attributes:
    vocabulary: tokens V, rows of the embedding.
    width: D.
    layers: L.
    heads: query heads H.
    kv_heads: key-value heads K, divides H.
    head_dim: h, even.
    hidden: width F of the feed-forward layer.
    rope: rotary embedding of the layers that see all positions.
    windowed_rope: that of windowed layers; None for the same.
    window: positions that a windowed layer sees, itself included.
    windowed: which layers are windowed, one flag each; () for none.
    norm_epsilon: of RMSNorm.
    norm_offset: a norm multiplies by its weight plus this (Gemma: 1).
    qk_norm: RMSNorm on queries and keys per head (Qwen3, Gemma 3).
    post_norms: RMSNorm behind attention and feed-forward too (Gemma).
    qkv_bias: queries, keys and values have a bias (Qwen2).
    activation: of the gate.
    scaled_embedding: embeddings are multiplied by the root of the width.
    attention_scale: of query times key; None is the root of 1 / head_dim.
    attention_soft_cap: c of c tanh(score / c), or None (Gemma 2).
    logit_soft_cap: the same for logits.
    positions: most of prompt and response together; None for any number.
    tied: the output matrix is the embedding.
    dtype: compute type.
    param_dtype: type the weights are kept in.
    remat: what the backward pass computes again instead of storing it: "none",
      "full" layers, or of these all but matrix products ("selective").
    lora: adapters, or None.

  Raises:
    ValueError: a type that is not one of `Dtype`, a `remat` that is none of
      `Remat`, or windowed layers without a window or without a flag for each
      layer.
  """

  vocabulary: int
  width: int = 128
  layers: int = 4
  heads: int = 4
  kv_heads: int = 2
  head_dim: int = 32
  hidden: int = 384
  rope: Rope = Rope()
  windowed_rope: Rope | None = None
  window: int | None = None
  windowed: tuple[bool, ...] = ()
  norm_epsilon: float = 1e-6
  norm_offset: float = 0.0
  qk_norm: bool = False
  post_norms: bool = False
  qkv_bias: bool = False
  activation: Activation = "silu"
  scaled_embedding: bool = True
  attention_scale: float | None = None
  attention_soft_cap: float | None = None
  logit_soft_cap: float | None = None
  positions: int | None = None
  tied: bool = True
  dtype: Dtype = "float32"
  param_dtype: Dtype = "float32"
  remat: Remat = "none"
  lora: Lora | None = None

  def __post_init__(self):
    for name in ("dtype", "param_dtype"):
      if getattr(self, name) not in get_args(Dtype):
        raise ValueError(
          f"{name} = {getattr(self, name)!r} is not supported; give one of "
          f"{get_args(Dtype)}. Files in other float types are converted."
        )
    if self.remat not in get_args(Remat):
      raise ValueError(
        f"remat = {self.remat!r}; give one of {get_args(Remat)}."
      )
    if any(self.windowed) and not (
      self.window and len(self.windowed) == self.layers
    ):
      raise ValueError(
        f"windowed = {self.windowed} with window = {self.window}; give a "
        f"window >= 1 and one flag for each of the {self.layers} layers."
      )

  @property
  def score_scale(self) -> float:
    """The factor of query times key."""
    if self.attention_scale is None:
      return self.head_dim**-0.5
    return self.attention_scale
