"""What all contenders are given: the same numbers from one seed.

Only numpy is imported, so that PyTorch may live in an environment of its own.
"""

from typing import NamedTuple

import numpy as np

MODES = ("forward", "forward_backward")
OUTPUTS = ("logp", "entropy")
DTYPES = ("float32", "bfloat16")
_SAMPLE = 16


class Shape(NamedTuple):
  """Size of a problem."""

  tokens: int
  width: int
  vocabulary: int
  dtype: str  # of hidden states and weights


class Numbers(NamedTuple):
  """In float32; a framework rounds hidden states and weights to the type."""

  hidden: np.ndarray  # f32[T, D]
  weights: np.ndarray  # f32[V, D]
  targets: np.ndarray  # i32[T]
  cotangents: np.ndarray  # f32[2, T] of log-prob and entropy


def numbers(shape: Shape) -> Numbers:
  """Logits of variance 1."""
  rng = np.random.default_rng(0)
  t, d, v, _ = shape
  normal = lambda *size: rng.standard_normal(size, np.float32)
  return Numbers(
    normal(t, d),
    normal(v, d) / np.float32(d**0.5),
    rng.integers(0, v, t).astype(np.int32),
    normal(2, t),
  )


def sample(tokens: int) -> np.ndarray:
  """Tokens whose results are compared: spread, the first and the last too."""
  return np.unique(np.linspace(0, tokens - 1, _SAMPLE).astype(int))


def sampled(cotangents: np.ndarray) -> np.ndarray:
  """The cotangents of the sample, zero elsewhere.

  So the gradient by the weights, a sum over all tokens, is one over few.
  """
  at = sample(cotangents.shape[1])
  kept = np.zeros_like(cotangents)
  kept[:, at] = cotangents[:, at]
  return kept
