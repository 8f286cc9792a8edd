"""What the tests of published models share: folders, tokens, stored logits."""

import functools
import pathlib
import tempfile

import numpy as np

from rlvr_jax.models.hf import small

STORED = pathlib.Path(__file__).parent / "golden_hf" / "logits.npz"
# Longer than the small models' windows; rows are padded on the left.
LENGTH, STEPS = 20, 8
PADDING = np.array([0, 3, 7])
VALID = np.arange(LENGTH) >= PADDING[:, None]
# Every seventh token, or the stored file would be large.
KEPT = slice(None, None, 7)


@functools.cache
def folder(name: str) -> pathlib.Path:
  """A folder with the small model of this name."""
  path = pathlib.Path(tempfile.mkdtemp()) / name
  small.write(path, name)
  return path


def tokens(vocabulary: int) -> np.ndarray:
  """i32[3, LENGTH]."""
  rows = np.random.default_rng(0).integers(0, vocabulary, (3, LENGTH))
  return rows.astype(np.int32)
