"""Writes weights as a folder that transformers and vLLM open as it is."""

import functools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from safetensors.numpy import save_file

from rlvr_jax import processes
from rlvr_jax.json_file import read_object
from rlvr_jax.models import lora
from rlvr_jax.models.block import LORA_A, LORA_B
from rlvr_jax.models.config import DecoderConfig
from rlvr_jax.models.hf import files
from rlvr_jax.models.hf.families import FAMILIES
from rlvr_jax.models.hf.names import Tensor, tensors
from rlvr_jax.types import Array, PyTree

# What goes along with weights: how to tokenize, and how to generate.
_COMPANIONS = (
  "generation_config.json",
  "tokenizer*",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.*",
  "merges.txt",
  "chat_template*",
  "additional_chat_templates/*.jinja",
)


def write_folder(
  params: PyTree,
  config: DecoderConfig,
  source: str | os.PathLike,
  folder: str | os.PathLike,
  dtype: str | None = None,
  shard_bytes: int = 4 << 30,
) -> None:
  """Writes parameters as a published model; adapters are merged in.

  If parameters lie on several processes, all of these must call it; the first
  one writes.

  Args:
    params: of the decoder, on any mesh.
    config: of the decoder.
    source: folder the model came from: its config.json, generation settings,
      tokenizer and chat templates go along.
    folder: to write; must not exist. It appears whole or not at all.
    dtype: "float32", "float16" or "bfloat16"; None is that of each tensor in
      the source, or of its config.json where it has no tensors.
    shard_bytes: most bytes of a file. The host holds one file at a time.

  Raises:
    ValueError: the folder exists, the dtype is not known, or a weight is not
      finite in it.
  """
  source, folder = pathlib.Path(source), pathlib.Path(folder)
  if folder.exists():
    raise ValueError(f"{folder} exists; give a folder that does not.")
  settings = read_object(source / "config.json")
  of = _dtypes(source, settings, dtype)
  parts = _parts(params, config, of, shard_bytes)
  if _on_several(params) and not processes.is_first():
    for _ in parts:  # Every process takes part in fetching.
      pass
    return
  partial = folder.with_name(folder.name + ".partial")
  try:
    _begin(partial, source, settings, of("model.norm.weight"))
    _write_all(partial, parts)
    partial.rename(folder)
  except BaseException:
    shutil.rmtree(partial, ignore_errors=True)
    raise


def _on_several(params: PyTree) -> bool:
  return not all(x.is_fully_addressable for x in jax.tree.leaves(params))


def _dtypes(
  source: pathlib.Path, settings: dict, dtype: str | None
) -> Callable[[str], str]:
  """The type to write a tensor in, by its name."""
  named = settings.get("dtype") or settings.get("torch_dtype") or "float32"
  known = {} if dtype else files.dtypes(source)
  for name in {dtype or named, *known.values()}:
    if name not in files.DTYPES.values():
      raise ValueError(
        f"dtype = {name!r} must be one of {sorted(files.DTYPES.values())}."
      )
  return lambda name: dtype or known.get(name, named)


def _begin(partial, source, settings, dtype) -> None:
  if partial.exists():  # Of an export that was killed.
    shutil.rmtree(partial)
  partial.mkdir(parents=True)
  # Under both names: older readers know the second one alone.
  settings |= {"dtype": dtype, "torch_dtype": dtype}
  # transformers does without it, vLLM does not.
  if not settings.get("architectures"):
    settings["architectures"] = [FAMILIES[settings["model_type"]].architecture]
  (partial / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
  for pattern in _COMPANIONS:
    for path in filter(pathlib.Path.is_file, source.glob(pattern)):
      place = partial / path.relative_to(source)
      place.parent.mkdir(exist_ok=True)
      shutil.copy(path, place)


def _parts(
  params: PyTree, config: DecoderConfig, of: Callable[[str], str], most: int
) -> Iterator[dict[str, np.ndarray]]:
  """The tensors, in dicts of at most so many bytes each."""
  part, size = {}, 0
  for tensor in tensors(config):
    x = _fetch(params, config, tensor, of(tensor.name))
    if part and size + x.nbytes > most:
      yield part
      part, size = {}, 0
    part[tensor.name], size = x, size + x.nbytes
  yield part


def _fetch(
  params: PyTree, config: DecoderConfig, tensor: Tensor, dtype: str
) -> np.ndarray:
  """One tensor on the host; adapters are merged layer by layer."""
  *above, last = tensor.path
  holder = functools.reduce(dict.__getitem__, above, params)
  weight, adapters, scale = holder[last], None, 0.0
  if config.lora is not None and last in config.lora.targets:
    adapters = holder[last + LORA_A], holder[last + LORA_B]
    scale = config.lora.scale
  stacked = tensor.layer is not None
  whole = NamedSharding(weight.sharding.mesh, P()) if _on_mesh(weight) else None
  take = _taken(tensor.kind, dtype, stacked, scale, whole)
  found = np.ascontiguousarray(take(weight, adapters, tensor.layer or 0))
  if not np.isfinite(found.astype(np.float32)).all():
    raise ValueError(
      f"tensor {tensor.name!r} is not finite in {dtype}; write a wider dtype, "
      "or an earlier checkpoint."
    )
  return found


def _on_mesh(x: Array) -> bool:
  return isinstance(x.sharding, NamedSharding)


@functools.cache
def _taken(kind: Tensor, dtype: str, stacked: bool, scale: float, where):
  """(weight, adapters, layer) -> the tensor, whole on every device."""

  def take(weight, adapters, layer):
    pick = lambda x: x[layer] if stacked else x
    one = pick(weight)
    if adapters is not None:
      one = lora.added(one, *map(pick, adapters), scale)
    return kind.to_file(one).astype(dtype)

  return jax.jit(take, out_shardings=where)


def _write_all(
  folder: pathlib.Path, parts: Iterable[dict[str, np.ndarray]]
) -> None:
  """One file under its plain name, or numbered files and their index."""
  written = []
  for number, part in enumerate(parts, 1):
    path = folder / f"part{number}.safetensors"
    save_file(part, path, metadata={"format": "pt"})
    # The library leaves it to be read by its owner alone.
    shutil.copymode(folder / "config.json", path)
    size = sum(x.nbytes for x in part.values())
    written.append((path, sorted(part), size))
  if len(written) == 1:
    written[0][0].rename(folder / files.WEIGHTS)
    return
  places = {}
  for number, (path, names, _) in enumerate(written, 1):
    name = f"model-{number:05}-of-{len(written):05}.safetensors"
    path.rename(folder / name)
    places |= dict.fromkeys(names, name)
  total = sum(size for _, _, size in written)
  index = {"metadata": {"total_size": total}, "weight_map": places}
  (folder / files.INDEX).write_text(json.dumps(index, indent=2) + "\n")
