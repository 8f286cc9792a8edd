"""The safetensors files of a folder. Nothing else is ever opened as weights."""

import contextlib
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping

import safetensors

from rlvr_jax.json_file import read_object

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".npy", ".npz")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def index(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The file of every tensor, by tensor name.

  Raises:
    ValueError: no safetensors, a file that is missing, damaged or outside the
      folder, or an index that its files contradict.
  """
  if (folder / INDEX).exists():
    return _from_index(folder)
  path = folder / WEIGHTS
  if not path.exists():
    others = [p.name for p in folder.glob("*") if p.suffix in _PICKLES]
    raise ValueError(
      f"{folder} holds neither {WEIGHTS} nor {INDEX}"
      + (
        f"; {others} are pickles or may hold some, which are never opened"
        if others
        else ""
      )
      + ". Save the model with safe_serialization=True."
    )
  return dict.fromkeys(_names(path), path)


def _from_index(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  listed = read_object(folder / INDEX).get("weight_map")
  if not isinstance(listed, dict):
    raise ValueError(f"{folder / INDEX} has no object 'weight_map'.")
  for name, file in listed.items():
    plain = isinstance(file, str) and pathlib.PurePath(file).name == file
    if not plain or "\\" in file or not file.endswith(".safetensors"):
      raise ValueError(
        f"{folder / INDEX} says that tensor {name!r} lies in {file!r}; allowed "
        "are names of .safetensors files in the folder itself."
      )
  held = {file: _names(folder / file) for file in sorted(set(listed.values()))}
  for name, file in listed.items():
    if name not in held[file]:
      raise ValueError(
        f"tensor {name!r} should be in {folder / file} and is not; fetch the "
        "folder again."
      )
  hidden = sorted(set().union(*held.values()) - listed.keys())
  if hidden:
    raise ValueError(f"{folder / INDEX} does not list {_some(hidden)}.")
  return {name: folder / file for name, file in listed.items()}


def _names(path: pathlib.Path) -> frozenset[str]:
  with opened(path) as file:
    return frozenset(file.keys())


def dtypes(folder: pathlib.Path) -> dict[str, str]:
  """The type of every tensor of a folder; none if it has no weights."""
  if not any((folder / name).exists() for name in (WEIGHTS, INDEX)):
    return {}
  held, found = index(folder), {}
  for path in sorted(set(held.values())):
    with opened(path) as file:
      for name in file.keys():
        kind = file.get_slice(name).get_dtype()
        found[name] = DTYPES.get(kind, kind)
  return found


def checksum(folder: str | os.PathLike) -> str:
  """Of weights, configuration and tokenizer: a retrained model is another."""
  found = 0
  for path in sorted(pathlib.Path(folder).iterdir()):
    if path.suffix in (".json", ".jinja", ".model", ".safetensors"):
      found = zlib.crc32(path.name.encode(), found)
      with path.open("rb") as file:
        while block := file.read(1 << 24):
          found = zlib.crc32(block, found)
  return f"{found:08x}"


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[safetensors.safe_open]:
  """A file, mapped into memory; its header is checked against its size.

  Raises:
    ValueError: it is missing or damaged.
  """
  if not path.exists():
    raise ValueError(f"{path} does not exist, but the index lists it.")
  try:
    file = safetensors.safe_open(path, framework="numpy")
  except (safetensors.SafetensorError, OSError) as error:
    raise ValueError(f"{path} is damaged ({error}); fetch it again.") from error
  with file:
    yield file


def check(
  held: Mapping[str, pathlib.Path], wanted: Mapping[str, tuple[int, ...]]
) -> None:
  """Compares what a folder holds with what its config.json describes.

  Args:
    held: of `index`.
    wanted: shapes by tensor name.

  Raises:
    ValueError: a tensor is missing, unknown, of another shape, or of a type
      that is not a float of 16 or 32 bits.
  """
  missing, unknown = sorted(wanted.keys() - held), sorted(held - wanted.keys())
  if missing or unknown:
    raise ValueError(
      f"config.json and the weights disagree: missing {_some(missing)}, not "
      f"known {_some(unknown)}."
    )
  for path in sorted(set(held.values())):
    with opened(path) as file:
      for name in (n for n, p in held.items() if p == path):
        _check_one(path, name, file.get_slice(name), wanted[name])


def _check_one(path, name, part, wanted) -> None:
  shape, kind = tuple(part.get_shape()), part.get_dtype()
  if shape != wanted:
    raise ValueError(
      f"tensor {name!r} in {path} has shape {shape}, config.json asks for "
      f"{wanted}."
    )
  if kind not in DTYPES:
    raise ValueError(
      f"tensor {name!r} in {path} is of type {kind}; allowed are "
      f"{sorted(DTYPES)}. Quantised weights must be saved as floats first."
    )


def _some(names: list[str]) -> str:
  more = f" and {len(names) - 4} more" if len(names) > 4 else ""
  return f"{names[:4]}{more}" if names else "none"
