r"""Searches for texts and files that the readers of strangers' input break on.

  python -m experiments.fuzz answers -max_total_time=600
  python -m experiments.fuzz parquet -max_total_time=600
  python -m experiments.fuzz rows -max_total_time=600

Coverage-guided: atheris (`pip install atheris`) counts which lines of this
library an input reaches and keeps the inputs that reach new ones. Everything
behind the target is an option of libFuzzer; a folder goes on from the inputs
kept in it. An error that is no ValueError, an answer that takes longer than a
second, or a broken law ends the search and writes the input to a file.
"""

import io
import json
import pathlib
import sys
import tempfile
import time

import atheris

with atheris.instrument_imports(include=["rlvr_jax.verify", "rlvr_jax.tasks"]):
  from rlvr_jax.tasks import filters, sources
  from rlvr_jax.verify import canonical, code, extract, formats, ifeval
  from rlvr_jax.verify.code import cases
  from rlvr_jax.verify.light_if import parse as light_if_parse

import pyarrow as pa
import pyarrow.parquet as pq

_SECONDS = 1.0
_FOLDER = tempfile.TemporaryDirectory()
_FORMATS = (
  formats.think,
  formats.think_and_answer,
  formats.tag_count,
  formats.reasoning_steps,
)
_ROW = {
  "prompt": [{"role": "user", "content": "1 + 1?"}],
  "data_source": "a",
  "reward_model": {"ground_truth": "2", "style": "rule"},
  "extra_info": {"index": 3},
}


def answers(data: bytes) -> None:
  """Reads text as a response and as an answer; laws of canonical forms hold."""
  provider = atheris.FuzzedDataProvider(data)
  text = provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 4096))
  other = provider.ConsumeUnicode(512)
  began = time.process_time()
  for strict in (True, False):
    found = extract.answer(text, strict)
    assert found is None or found.strip() == found != ""
  for form in _FORMATS:
    assert 0 <= form(text) <= 1
  code.program_of(text)
  for answer in (text, other, extract.tagged(text) or ""):
    key = canonical.key(answer)
    assert canonical.equal(answer, answer) is (key is not None)
    if key and len(key) <= canonical.MAX_LENGTH and canonical.is_number(key):
      assert canonical.key(key) == key
  assert canonical.equal(text, other) == canonical.equal(other, text)
  for parse in (ifeval.parse, light_if_parse, cases.parse):
    _refused_at_most(parse, text)
  assert time.process_time() - began < _SECONDS


def parquet(data: bytes) -> None:
  """Reads bytes as a parquet file, those of a whole one with some changed."""
  provider = atheris.FuzzedDataProvider(data)
  whole = bytearray(_parquet([_ROW] * 3))
  for _ in range(provider.ConsumeIntInRange(0, 8)):
    place = provider.ConsumeIntInRange(0, len(whole) - 1)
    whole[place] = provider.ConsumeIntInRange(0, 255)
  cut = provider.ConsumeIntInRange(0, len(whole))
  _read(bytes(whole[:cut] or whole), ".parquet")


def rows(data: bytes) -> None:
  """Reads JSON as a line of a dataset, and as a row of a parquet file."""
  _read(data, ".jsonl")
  try:
    row = json.loads(data)
    written = _parquet([row]) if isinstance(row, dict) else None
  except (ValueError, RecursionError, pa.ArrowException, OverflowError):
    return
  if written:
    _read(written, ".parquet")


def _read(data: bytes, suffix: str) -> None:
  path = pathlib.Path(_FOLDER.name, f"rows{suffix}")
  path.write_bytes(data)
  for reference in ("text", "json"):
    _refused_at_most(_kept, str(path), reference)


def _kept(path: str, reference: str) -> list[filters.Kept]:
  keep = filters.Filter(filters.Report(), lambda row: row.question, len)
  return [*keep(sources.read(path, reference=reference))]


def _refused_at_most(read: object, *arguments: object) -> None:
  try:
    read(*arguments)
  except ValueError as error:
    assert str(error)


def _parquet(found: list[dict]) -> bytes:
  buffer = io.BytesIO()
  pq.write_table(pa.Table.from_pylist(found), buffer)
  return buffer.getvalue()


def main() -> None:
  """Reads the target and hands the rest to libFuzzer."""
  targets = dict(answers=answers, parquet=parquet, rows=rows)
  if len(sys.argv) < 2 or sys.argv[1] not in targets:
    sys.exit(f"give one of {list(targets)}, then options of libFuzzer")
  target = targets[sys.argv.pop(1)]
  atheris.Setup(sys.argv, target)
  atheris.Fuzz()


if __name__ == "__main__":
  main()
