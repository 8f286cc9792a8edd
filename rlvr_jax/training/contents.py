"""The note of a checkpoint: what it holds, with a digest of each array."""

import json
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import jax

import rlvr_jax
from rlvr_jax.training import digest
from rlvr_jax.training.damage import Damaged
from rlvr_jax.types import PyTree

Facts = Mapping[str, str | list[str]]


class Leaf(NamedTuple):
  """What a note tells of an array."""

  dtype: str
  shape: tuple[int, ...]
  digest: int

  def __str__(self) -> str:
    return f"{self.dtype}{list(self.shape)}"


class Note(NamedTuple):
  """What a checkpoint says of itself."""

  version: str  # of the code that wrote it
  facts: Facts
  parts: dict[str, dict[str, Leaf]]  # leaves by path


def leaves(tree: PyTree) -> dict[str, Leaf]:
  """The shapes of a tree as a note tells them, with digests of 0."""
  found = zip(digest.paths(tree), jax.tree.leaves(tree))
  return {path: Leaf(str(x.dtype), x.shape, 0) for path, x in found}


def written(facts: Facts, parts: Mapping[str, PyTree]) -> dict:
  """The note of what is saved, for JSON."""
  note = {
    "version": rlvr_jax.__version__,
    "facts": dict(facts),
    "parts": {name: _digested(part) for name, part in parts.items()},
  }
  return note | {"checksum": _checksum(note)}


def read(note: dict, what: str) -> Note:
  """What JSON says of a checkpoint.

  Args:
    note: of `written`.
    what: it is, for the message.

  Raises:
    Damaged: it is not as it was written.
  """
  note = dict(note)
  if note.pop("checksum") != _checksum(note):
    raise Damaged(f"{what} is not as it was written")
  parts = {
    name: {path: Leaf(d, tuple(s), n) for path, (d, s, n) in part.items()}
    for name, part in note["parts"].items()
  }
  return Note(note["version"], note["facts"], parts)


def verify(name: str, part: PyTree, held: Mapping[str, Leaf]) -> None:
  """Compares what was read with what was saved.

  Args:
    name: of the part.
    part: its arrays.
    held: what the note tells of them.

  Raises:
    Damaged: a digest differs.
  """
  for path, value in digest.of(part).items():
    if value != held[path].digest:
      raise Damaged(
        f"{name}: {path} has other bits than were saved, its digest is "
        f"{value:08x} and not {held[path].digest:08x}"
      )


def _digested(part: PyTree) -> dict[str, Leaf]:
  known = digest.of(part)
  return {
    path: leaf._replace(digest=known[path])
    for path, leaf in leaves(part).items()
  }


def _checksum(note: dict) -> int:
  return zlib.crc32(json.dumps(note, sort_keys=True).encode())
