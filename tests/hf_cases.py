"""What the tests of published models share: folders, tokens, stored logits."""

import pathlib

import numpy as np

from configs import laptop

STORED = pathlib.Path(__file__).parent / "golden_hf" / "logits.npz"
# Longer than the small models' windows; rows are padded on the left.
LENGTH, STEPS = 20, 8
PADDING = np.array([0, 3, 7])
VALID = np.arange(LENGTH) >= PADDING[:, None]
# Every seventh token, or the stored file would be large.
KEPT = slice(None, None, 7)


def folder(name: str) -> pathlib.Path:
  """The folder of the small model of this name; leave it as it is."""
  return pathlib.Path(laptop.model(name))


def tokens(vocabulary: int) -> np.ndarray:
  """i32[3, LENGTH]."""
  rows = np.random.default_rng(0).integers(0, vocabulary, (3, LENGTH))
  return rows.astype(np.int32)
