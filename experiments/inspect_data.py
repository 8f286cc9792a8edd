r"""Shows what is in datasets, and what a run would drop of them.

python -m experiments.inspect_data --data=train.parquet,more.jsonl \
    --against=test.parquet --tokenizer=FOLDER --max_prompt=1024

Tells, for each dataset, rows, distinct problems, how long they are and some of
them as the model would read them; then which rows are dropped, and why. A
row names its dataset by the column of sources: a file may hold several.
"""

import collections
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tabulate
from absl import app, flags

from rlvr_jax import tasks
from rlvr_jax.tasks import chat, filters, overlap, sources

_DATA = flags.DEFINE_list("data", None, "datasets, as docs/data.md names them")
_AGAINST = flags.DEFINE_list("against", [], "datasets of the evaluation")
_NGRAM = flags.DEFINE_integer("ngram", 13, "words shared with the evaluation")
_COLUMNS = flags.DEFINE_list("columns", [], "for example prompt=question")
_TFDS = flags.DEFINE_string("data_dir", None, "where TFDS keeps datasets")
_TOKENIZER = flags.DEFINE_string("tokenizer", None, "folder of the model")
_TEMPLATE = flags.DEFINE_enum("template", "chat", ["chat", "plain"], "of it")
_SYSTEM = flags.DEFINE_string("system", "", "message before every prompt")
_INSTRUCTION = flags.DEFINE_string("instruction", "", "after every prompt")
_LONGEST = flags.DEFINE_integer("max_prompt", 0, "tokens; 0 for any number")
_STYLE = flags.DEFINE_string(
  "style", "math", "checks reference answers, as docs/data.md names it, or none"
)
_EXAMPLES = flags.DEFINE_integer("examples", 2, "shown of everything")

_QUANTILES = {"shortest": 0, "median": 0.5, "95 %": 0.95, "longest": 1}
Found = dict[str, list[filters.Kept]]


def _rows(
  specs: Iterable[str], style: tasks.Style | None
) -> Iterator[Iterator[sources.Row]]:
  pairs = [pair.partition("=") for pair in _COLUMNS.value]
  if not all(sign for _, sign, _ in pairs):
    raise ValueError(f"--columns={_COLUMNS.value} must be field=column.")
  columns = {field: column for field, _, column in pairs}
  kind = style.reference if style else "json"
  for spec in specs:
    yield sources.read(spec, columns, reference=kind, data_dir=_TFDS.value)


def _writer() -> tuple[Callable[[sources.Row], str], Callable[[str], int]]:
  """What renders a row, and what counts the tokens of a prompt."""
  messages = lambda row: chat.instructed(row.messages, _INSTRUCTION.value)
  if _TOKENIZER.value is None:
    write = lambda row: chat.plain(chat.led(messages(row), _SYSTEM.value))
    return write, lambda prompt: 0
  tokenizer = tasks.HFTokenizer(_TOKENIZER.value)
  options = dict(system=_SYSTEM.value, template=_TEMPLATE.value)
  write = lambda row: tokenizer.render(messages(row), **options)
  return write, lambda prompt: len(tokenizer.encode(prompt))


def _held_out(style: tasks.Style | None) -> overlap.HeldOut:
  questions = collections.defaultdict(set)
  for rows in _rows(_AGAINST.value, style):
    for row in rows:
      questions[row.source].add(row.question)
  lists = {source: sorted(texts) for source, texts in questions.items()}
  return overlap.HeldOut(lists, _NGRAM.value)


def _read(report: filters.Report) -> Found:
  """What is left of the datasets, by name."""
  render, count = _writer()
  none = _STYLE.value == "none"
  style = None if none else tasks.style_of(_STYLE.value)
  keep = filters.Filter(
    report,
    render,
    count,
    check=style and style.check,
    longest=_LONGEST.value,
    unparsable="drop",
    by_source=True,
  )
  apart = filters.Apart(_held_out(style), report)
  kept = []
  for rows in _rows(_DATA.value, style):
    for each in keep(rows):
      apart.note(len(kept), each.row)
      kept.append(each)
  out, found = apart.found(), collections.defaultdict(list)
  for number, each in enumerate(kept):
    if number not in out:
      found[each.row.source].append(each)
  return found


def _counts(report: filters.Report) -> str:
  repeats = (filters.REPEATED, filters.CONTRADICTS)
  lines = []
  for source, rows in report.read.items():
    dropped = {
      r: d.count for (s, r), d in report.dropped.items() if s == source
    }
    again = sum(dropped.get(reason, 0) for reason in repeats)
    lines.append([source, rows, rows - again, report.kept[source]])
  return _table(lines, ["dataset", "rows", "distinct", "kept"])


def _lengths(found: Found) -> str:
  lines = []
  for source, kept in found.items():
    counted = {"characters": [len(each.prompt) for each in kept]}
    if _TOKENIZER.value:
      counted["tokens"] = [each.length for each in kept]
    for unit, lengths in counted.items():
      at = np.quantile(lengths, [*_QUANTILES.values()])
      lines.append([source, unit, *at.round().astype(int)])
  return _table(lines, ["prompts of", "in", *_QUANTILES])


def _reasons(report: filters.Report) -> str:
  lines = [
    [source, reason, dropped.count]
    for (source, reason), dropped in report.dropped.items()
  ]
  return _table(lines, ["dataset", "dropped, for it", "rows"])


def _table(lines: Sequence[Sequence[object]], heads: Sequence[str]) -> str:
  return tabulate.tabulate(lines, heads, "github", disable_numparse=[0])


def main(argv: list[str]) -> None:
  """Prints the tables and the examples."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}.")
  report = filters.Report(_EXAMPLES.value)
  try:
    found = _read(report)
  except (ImportError, OSError, ValueError) as error:
    sys.exit(f"error: {error}")
  print(_counts(report), _lengths(found), sep="\n\n")
  for source, kept in found.items():
    for each in kept[: _EXAMPLES.value]:
      print(f"\n--- {source} {each.row.id}, answer {each.row.answer!r}:")
      print(each.prompt)
  if report.dropped:
    print("", _reasons(report), sep="\n")
  for (source, reason), dropped in report.dropped.items():
    print(f"\n--- {source}, {reason}:", *dropped.examples, sep="\n")


if __name__ == "__main__":
  flags.mark_flags_as_required(["data"])
  app.run(main)
