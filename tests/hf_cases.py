"""What the tests of published models share: folders, tokens, stored logits."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from safetensors.numpy import load_file, save_file

from configs import laptop
from rlvr_jax.models.hf import files

STORED = pathlib.Path(__file__).parent / "golden_hf" / "logits.npz"
# Longer than the small models' windows; rows are padded on the left.
LENGTH, STEPS = 20, 8
PADDING = np.array([0, 3, 7])
VALID = np.arange(LENGTH) >= PADDING[:, None]
# Every seventh token, or the stored file would be large.
KEPT = slice(None, None, 7)
# A tensor of the small qwen2.
NORM = "model.layers.2.input_layernorm.weight"


def folder(name: str) -> pathlib.Path:
  """The folder of the small model of this name; leave it as it is."""
  return pathlib.Path(laptop.model(name))


def tokens(vocabulary: int) -> np.ndarray:
  """i32[3, LENGTH]."""
  rows = np.random.default_rng(0).integers(0, vocabulary, (3, LENGTH))
  return rows.astype(np.int32)


def damaged(tmp_path: pathlib.Path, name: str = "qwen2") -> pathlib.Path:
  """A copy of the folder of a small model, to be changed."""
  path = tmp_path / "damaged"
  shutil.copytree(folder(name), path)
  return path


def change(
  folder: pathlib.Path, edit: Callable[[dict[str, np.ndarray]], None]
) -> None:
  """Rewrites the weights after `edit(tensors)`."""
  tensors = load_file(folder / files.WEIGHTS)
  edit(tensors)
  save_file(tensors, folder / files.WEIGHTS)


def set_config(folder: pathlib.Path, **values: object) -> None:
  """Sets fields of config.json."""
  path = folder / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | values))
