"""This library against numbers from the authors' own code, file by file.

`--golden-dir DIR` reads another folder with the same keys.
"""

import importlib
import importlib.util

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("quick_compile")

# Vector files whose methods do not exist here yet.
NOT_YET = frozenset(
  {
    "ares",
    "entropy_block_pruning",
    "entropy_guided_attention",
    "gigpo",
    "vogue",
  }
)


def test_reference_vectors_are_reproduced(golden_file):
  slug = golden_file.stem
  module = f"golden_adapters.{slug}"
  if importlib.util.find_spec(module) is None:
    assert slug in NOT_YET, (
      f"{golden_file} has no adapter: write tests/golden_adapters/{slug}.py "
      f"with check_{slug}(vectors), or put {slug!r} on NOT_YET."
    )
    return
  assert slug not in NOT_YET, f"{slug!r} has an adapter; take it off NOT_YET."
  check = getattr(importlib.import_module(module), f"check_{slug}")
  with np.load(golden_file, allow_pickle=False) as vectors:
    check(dict(vectors))


def test_the_folder_of_reference_vectors_is_not_empty(pytestconfig):
  folder = pytestconfig.getoption("--golden-dir")
  assert list(folder.glob("*.npz")), f"no *.npz in {folder}"
