"""Reads JSON files that others wrote."""

import json
import pathlib

# Of a published model the list of its tensors is the longest; it has 1 MB.
_LARGEST = 64 << 20


def read_object(path: pathlib.Path) -> dict:
  """The object in a JSON file.

  Raises:
    ValueError: the file is missing or has more than 64 MB, is not UTF-8 or
      JSON, or holds no object.
  """
  try:
    if (size := path.stat().st_size) > _LARGEST:
      raise ValueError(
        f"{path} has {size} bytes, at most {_LARGEST} are read; copy it again."
      )
    found = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise ValueError(
      f"{path} does not exist; give a folder with config.json and "
      "*.safetensors, as save_pretrained writes it."
    ) from None
  except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
    raise ValueError(f"{path} is not JSON ({error}); copy it again.") from error
  if not isinstance(found, dict):
    raise ValueError(f"{path} must hold an object, not {found!r:.50}.")
  return found
