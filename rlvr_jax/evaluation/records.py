"""What an evaluation writes down: a header, then one JSON line per problem."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from rlvr_jax import processes

FILE = "records.jsonl"

Header = Mapping[str, object]  # settings that decided the samples


class Record(NamedTuple):
  """One problem with n samples; lists have one entry per sample."""

  source: str  # data set that the problem is of
  id: str  # no other problem of its source has it
  prompt: str
  reference: str  # answer; "" where many are right or none is known
  answers: list[str | None]  # in normal form; None where none was found
  right: list[bool | None]  # None where the verifier could not tell
  tokens: list[int]  # of the response, its end included
  truncated: list[bool]  # had not ended at the length limit
  entropy: list[float]  # nats, mean over the tokens of the response
  texts: list[str]  # the first responses; as many as were to be kept

  @property
  def name(self) -> str:
    """What no other problem of the evaluation is called."""
    return f"{self.source}/{self.id}"


_TEXTS = ("source", "id", "prompt", "reference")
_EACH = {
  "answers": lambda x: x is None or isinstance(x, str),
  "right": lambda x: x is None or isinstance(x, bool),
  "tokens": lambda x: isinstance(x, int) and not isinstance(x, bool),
  "truncated": lambda x: isinstance(x, bool),
  "entropy": lambda x: isinstance(x, int | float) and not isinstance(x, bool),
  "texts": lambda x: isinstance(x, str),
}


class Log:
  """The file of an evaluation, which may be killed at any moment.

  Args:
    path: of the file; made with its folder when missing, and made anew when
      it holds no record. A last line that a kill cut short is dropped. Of
      several processes the first one writes.
    header: of this evaluation.

  Attributes:
    header: as it stands in the file.
    records: those that the file held, in its order.

  Raises:
    ValueError: the file is of an evaluation with another header, or damaged.
  """

  def __init__(self, path: str | os.PathLike, header: Header):
    path = pathlib.Path(path)
    self.header: Header = json.loads(json.dumps(header))
    self.records: list[Record] = []
    if path.exists() and path.read_bytes().count(b"\n"):
      held, self.records = read(path)
    if self.records:
      _check_same(path, held, self.header)
    if not processes.is_first():
      self._file = open(os.devnull, "w")
    elif self.records:
      _drop_cut_line(path)
      self._file = path.open("a")
    else:
      path.parent.mkdir(parents=True, exist_ok=True)
      self._file = path.open("w")
      self._write(self.header)

  def append(self, record: Record) -> None:
    """Writes one problem, so that a kill after it cannot lose it."""
    self._write(record._asdict())

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _write(self, line: Header) -> None:
    self._file.write(json.dumps(line) + "\n")
    self._file.flush()


def read(path: str | os.PathLike) -> tuple[Header, list[Record]]:
  """Reads what `Log` wrote; a last line without its end is left out.

  Args:
    path: of the file.

  Returns:
    The header and the records in the order of the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a line is damaged, a problem comes twice, or two differ in
      their number of samples.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise FileNotFoundError(
      f"{path} does not exist; give the folder that an evaluation wrote to."
    )
  # `splitlines` would also split at U+2028, which JSON strings may hold.
  header, *lines = path.read_text(encoding="utf-8").split("\n")[:-1] or [""]
  header = _object(header, f"{path}, line 1")
  records: dict[str, Record] = {}
  samples = 0
  for number, line in enumerate(lines, 2):
    where = f"{path}, line {number}"
    record = _record(_object(line, where), where)
    samples = samples or len(record.answers)
    _check_samples(record, samples, where)
    if record.name in records:
      raise ValueError(f"{where}: {record.name!r} has come before; keep one.")
    records[record.name] = record
  return header, list(records.values())


def _object(line: str, where: str) -> dict[str, object]:
  try:
    found = json.loads(line)
  except json.JSONDecodeError as error:
    raise ValueError(f"{where} is not JSON ({error}); restore it.") from error
  if not isinstance(found, dict):
    raise ValueError(f"{where} is not a JSON object; restore it.")
  return found


def _record(fields: dict[str, object], where: str) -> Record:
  if fields.keys() != set(Record._fields):
    raise ValueError(
      f"{where} has the fields {sorted(fields)}; a record has "
      f"{sorted(Record._fields)}."
    )
  wrong = [name for name in _TEXTS if not isinstance(fields[name], str)]
  for name, fits in _EACH.items():
    values = fields[name]
    if not isinstance(values, list) or not all(map(fits, values)):
      wrong.append(name)
  if wrong:
    raise ValueError(f"{where}: {wrong} hold what a record must not; mend it.")
  return Record(**fields)


def _check_samples(record: Record, samples: int, where: str) -> None:
  sizes = {len(getattr(record, name)) for name in _EACH if name != "texts"}
  if sizes != {samples} or not samples or len(record.texts) > samples:
    raise ValueError(
      f"{where}: lists of {sorted(sizes)} entries and {len(record.texts)} "
      f"texts; every problem has the {samples or 1} sample(s) of the first."
    )


def _check_same(path: pathlib.Path, held: Header, header: Header) -> None:
  names = sorted(held.keys() | header.keys())
  told = [
    f"  - {name} = {held.get(name)!r}, this one has {header.get(name)!r}"
    for name in names
    if held.get(name) != header.get(name)
  ]
  if told:
    raise ValueError(
      f"{path} holds an evaluation with\n" + "\n".join(told) + "\nUse another "
      "folder, or the old values and files to go on with that evaluation."
    )


def _drop_cut_line(path: pathlib.Path) -> None:
  with path.open("r+b") as file:
    file.truncate(file.read().rindex(b"\n") + 1)
