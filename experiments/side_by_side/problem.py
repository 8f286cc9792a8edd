"""The decoders, prompts and lengths that samplers are timed on.

All of it is drawn from seeded numpy generators, so a rival that draws the same
way computes the same function of the same prompts.
"""

from typing import NamedTuple

import numpy as np

from rlvr_jax.models import DecoderConfig
from rlvr_jax.models.config import Dtype

EPSILON = 1e-6


class Sizes(NamedTuple):
  """A decoder of the Qwen2 kind with a tied embedding."""

  layers: int
  width: int
  hidden: int
  heads: int
  kv_heads: int
  head_dim: int
  vocabulary: int

  def config(self, dtype: Dtype = "float32") -> DecoderConfig:
    """The same for the library."""
    return DecoderConfig(
      **self._asdict(),
      qkv_bias=True,
      scaled_embedding=False,
      norm_epsilon=EPSILON,
      dtype=dtype,
      param_dtype=dtype,
    )

  @property
  def matrices(self) -> int:
    """Numbers in the matrices that every token is multiplied with."""
    own = 2 * self.width * self.head_dim * (self.heads + self.kv_heads)
    layer = own + 3 * self.width * self.hidden
    return self.layers * layer + self.vocabulary * self.width


class Shape(NamedTuple):
  """Prompts, responses and their lengths, tokens."""

  prompts: int
  group: int
  shortest: int  # prompt
  longest: int
  new: int

  @property
  def rows(self) -> int:
    """Samples of equal length, and rows that decode at a time."""
    return self.prompts * self.group


SIZES = {
  "nano": Sizes(2, 64, 128, 2, 1, 32, 512),
  "tiny": Sizes(4, 256, 768, 4, 2, 64, 4096),
  "mid": Sizes(12, 768, 2048, 12, 4, 64, 32768),
}
SHAPES = {
  "smoke": Shape(2, 4, 6, 16, 16),
  "s64": Shape(8, 8, 24, 64, 128),
  "s128": Shape(16, 8, 24, 64, 256),
  "s64long": Shape(8, 8, 96, 256, 128),
}
# Samples for each row where lengths are ragged, and the mean of these before
# they are cut, as a share of the longest.
TURNS, MEAN = 4, 0.25


def prompts(sizes: Sizes, shape: Shape, count: int) -> list[list[int]]:
  """The first `count` prompts, without special tokens (below 3)."""
  draw = np.random.default_rng(0)
  length = lambda: int(draw.integers(shape.shortest, shape.longest + 1))
  return [
    draw.integers(3, sizes.vocabulary, length()).tolist() for _ in range(count)
  ]


def padded(rows: list[list[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
  """i32[P, W] padded on the left, and bool[P, W]."""
  tokens = np.zeros((len(rows), width), np.int32)
  for number, row in enumerate(rows):
    tokens[number, width - len(row) :] = row
  lengths = np.array([len(row) for row in rows])
  return tokens, np.arange(width) >= width - lengths[:, None]


def ragged_lengths(shape: Shape) -> np.ndarray:
  """i32[P, G] of `TURNS` times the prompts: exponential, cut at the longest."""
  draw = np.random.default_rng(0)
  size = TURNS * shape.prompts, shape.group
  lengths = draw.exponential(MEAN * shape.new, size)
  return np.clip(np.ceil(lengths), 1, shape.new).astype(np.int32)


def rewards(texts: list[str]) -> list[float]:
  """Of each response the share of words "t7" whose number is even."""

  def one(text):
    numbers = [int(w[1:]) for w in text.split() if w.startswith("t")]
    return sum(n % 2 == 0 for n in numbers) / max(1, len(numbers))

  return [one(text) for text in texts]


def tensors(sizes: Sizes) -> dict[str, np.ndarray]:
  """Random weights by the names of published files, f32."""
  draw, s = np.random.default_rng(0), sizes
  normal = lambda *shape: draw.standard_normal(shape, np.float32) * 0.02
  ones = np.ones(s.width, np.float32)
  found = {
    "model.embed_tokens.weight": normal(s.vocabulary, s.width),
    "model.norm.weight": ones,
  }
  for layer in range(s.layers):
    at = f"model.layers.{layer}."
    heads = {"q": s.heads, "k": s.kv_heads, "v": s.kv_heads}
    for name, count in heads.items():
      size, linear = count * s.head_dim, f"{at}self_attn.{name}_proj."
      found[linear + "weight"] = normal(size, s.width)
      found[linear + "bias"] = normal(size)
    out = s.width, s.heads * s.head_dim
    found[f"{at}self_attn.o_proj.weight"] = normal(*out)
    for name in ("gate", "up"):
      found[f"{at}mlp.{name}_proj.weight"] = normal(s.hidden, s.width)
    found[f"{at}mlp.down_proj.weight"] = normal(s.width, s.hidden)
    found[f"{at}input_layernorm.weight"] = ones
    found[f"{at}post_attention_layernorm.weight"] = ones
  return found
