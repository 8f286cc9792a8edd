"""Reads records, one at a time, of the formats that datasets come in."""

import contextlib
import json
import pathlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr_jax.tasks import gym

Record = Mapping[str, object]

_PARQUET, _JSONL = ".parquet", ".jsonl"
_TFDS, _GYM = "tfds:", "gym:"
_TFDS_FORM = re.compile(r"tfds:[^:]+(:[0-9.]+)?/[^/:]+")
_GYM_FORM = re.compile(r"gym:[^:]+(:[1-9][0-9]*)?")
# Rows of a parquet file that are in memory at once.
_BATCH = 1024
_GYM_SIZE = 1000


class Records(NamedTuple):
  """A dataset that has been opened."""

  name: str  # for rows that do not say where they are from
  rows: Iterator[tuple[str, Record]]  # where it stands, for messages; the row


def read(
  spec: str,
  data_dir: str | None = None,
  seed: int = 0,
  wanted: Collection[str] | None = None,
) -> Records:
  """Opens a dataset.

  Args:
    spec: path of a .parquet or .jsonl file; "tfds:name:version/split" or
      "tfds:name/config:version/split" for a dataset that TFDS has prepared as
      array_record; "gym:dataset" or "gym:dataset:size" for questions of
      reasoning-gym, 1000 if no size is given.
    data_dir: where TFDS keeps datasets; None is its own default.
    seed: of reasoning-gym.
    wanted: the fields that are needed, nested ones with dots; None for all.
      What a file has besides may be missing from its rows.

  Returns:
    The name and the rows. Files are read as the rows are asked for.

  Raises:
    ValueError: there is no such dataset, or it cannot be read; while rows are
      read, too.
    ImportError: reasoning-gym is not installed.
  """
  check(spec)
  if spec.startswith(_TFDS):
    return _tfds(spec, data_dir)
  if spec.startswith(_GYM):
    return _gym(spec, seed)
  path = pathlib.Path(spec)
  if path.suffix == _PARQUET:
    return Records(path.stem, _parquet(path, wanted))
  return Records(path.stem, _jsonl(path))


def check(spec: str) -> None:
  """Raises if there is no such file, or `spec` has no form of `read`.

  Raises:
    ValueError: it has none.
  """
  if spec.startswith(_TFDS):
    allowed = _TFDS_FORM.fullmatch(spec)
  elif spec.startswith(_GYM):
    allowed = _GYM_FORM.fullmatch(spec)
  else:
    allowed = pathlib.Path(spec).suffix in (_PARQUET, _JSONL)
  if not allowed:
    raise ValueError(
      f"{spec!r} is no dataset; allowed are files that end in .parquet or "
      '.jsonl, "tfds:name:version/split", "gym:dataset" and "gym:dataset:size".'
    )
  if not spec.startswith((_TFDS, _GYM)) and not pathlib.Path(spec).is_file():
    raise ValueError(f"There is no file {spec!r}; check the path.")


def fields(spec: str, record: Record) -> list[str]:
  """Returns the fields that a row could be asked for, nested ones with dots.

  Args:
    spec: of `read`.
    record: a row of it, perhaps without the fields that were not wanted.

  Returns:
    Their names, also of those that hold nothing.
  """
  if not spec.startswith((_TFDS, _GYM)) and spec.endswith(_PARQUET):
    record = {field.name: _children(field) for field in pq.read_schema(spec)}
  names = []
  for name, value in record.items():
    nested = value if isinstance(value, dict) else {}
    names += [f"{name}.{inner}" for inner in nested] or [name]
  return names


def _children(field: pa.Field) -> Record | None:
  if not pa.types.is_struct(field.type):
    return None
  return {child.name: None for child in field.type}


def _parquet(
  path: pathlib.Path, wanted: Collection[str] | None
) -> Iterator[tuple[str, Record]]:
  row = 0
  try:
    with pq.ParquetFile(path) as file:
      columns = None if wanted is None else list(wanted)
      for batch in file.iter_batches(_BATCH, columns=columns):
        places = [f"{path}, row {row + i}" for i in range(len(batch))]
        yield from zip(places, _unpacked(batch, places), strict=True)
        row += len(batch)
  except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
    raise ValueError(
      f"{path}: cannot be read as parquet ({error}); it may be cut short: get "
      "the file anew."
    ) from error


def _unpacked(batch: pa.RecordBatch, places: list[str]) -> Iterable[Record]:
  try:
    return batch.to_pylist()
  except (ValueError, OverflowError):  # Again, one by one, to tell of which.
    columns = dict(zip(batch.schema.names, batch.columns))
    return (
      {name: _value(place, name, c[i]) for name, c in columns.items()}
      for i, place in enumerate(places)
    )


def _value(place: str, name: str, scalar: pa.Scalar) -> object:
  if isinstance(scalar, pa.StructScalar) and scalar.is_valid:
    inner = scalar.items()
    return {key: _value(place, f"{name}.{key}", v) for key, v in inner}
  try:
    return scalar.as_py()
  except UnicodeDecodeError as error:
    raise ValueError(
      f"{place}: {name!r} is not UTF-8 ({error}); write the file anew with its "
      "text converted."
    ) from error
  except (ValueError, OverflowError) as error:
    raise ValueError(
      f"{place}: {name!r} holds a {scalar.type} that cannot be read ({error}); "
      "write the file anew with text or numbers there."
    ) from error


def _jsonl(path: pathlib.Path) -> Iterator[tuple[str, Record]]:
  with path.open("rb") as file:  # Decoded by line, so that a line is named.
    for number, line in enumerate(file, 1):
      place = f"{path}, line {number}"
      if line.strip():
        yield place, _json(place, line)


def _json(place: str, line: bytes) -> Record:
  try:
    record = json.loads(line.decode("utf-8-sig"))
  except UnicodeDecodeError as error:
    raise ValueError(
      f"{place}: not UTF-8 ({error}); convert the file, for example with iconv."
    ) from error
  except (ValueError, RecursionError) as error:
    raise ValueError(
      f"{place}: not JSON ({error}): {line[:80]!r}; write one object to a line."
    ) from error
  if not isinstance(record, dict):
    raise ValueError(f"{place}: {record!r:.80} must be an object.")
  return record


def _tfds(spec: str, data_dir: str | None) -> Records:
  import tensorflow_datasets as tfds

  name, _, split = spec.removeprefix(_TFDS).rpartition("/")
  try:
    # From the files alone: no code of the dataset, no network.
    builder = tfds.core.read_only_builder.builder_from_files(
      name, data_dir=data_dir
    )
    source = builder.as_data_source(split=split)
  # TFDS raises what it likes, also for names that are no names.
  except Exception as error:
    raise ValueError(
      f"{spec!r} cannot be read: {error} Write tfds:name:version/split, and "
      'prepare the dataset with file_format="array_record".'
    ) from error
  rows = ((f"{spec}, row {i}", _python(source[i])) for i in range(len(source)))
  return Records(builder.name, rows)


def _python(value: object) -> object:
  """What TFDS gives, as JSON would hold it; what is no text stays bytes."""
  if isinstance(value, Mapping):
    return {key: _python(each) for key, each in value.items()}
  if isinstance(value, bytes):
    with contextlib.suppress(UnicodeDecodeError):
      return value.decode()
  if isinstance(value, np.ndarray | np.generic):
    return _python(value.tolist())
  return [_python(each) for each in value] if isinstance(value, list) else value


def _gym(spec: str, seed: int) -> Records:
  name, _, size = spec.removeprefix(_GYM).partition(":")
  size = int(size or _GYM_SIZE)
  where = dict(dataset=name, seed=seed, size=size)
  rows = (
    (f"{spec}, question {i}", _gym_record(e, where | dict(index=i)))
    for i, e in enumerate(gym.entries(name, size, seed))
  )
  return Records(name, rows)


def _gym_record(question: Record, where: Record) -> Record:
  """With what finds the question again, and so its scorer."""
  answer = question["answer"]
  entry = where | dict(answer=answer)
  return dict(prompt=question["question"], answer=answer, entry=entry)
